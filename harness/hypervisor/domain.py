"""Domain XML from a specification."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

from harness.errors import TestbedError
from harness.hypervisor import firmware
from harness.hypervisor.acceleration import Acceleration, emulator

QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
THAW_CHANNEL = "org.rootless-harness.thaw"
# Of the catalogue's words for a network card, QEMU's.
NICS = {"virtio": "virtio-net-pci", "e1000e": "e1000e", "vmxnet3": "vmxnet3"}
# QEMU's best processor of aarch64 signs pointers by a cipher, which costs a lot in software.
_EMULATED = {"aarch64": "cortex-a72"}
_DISK_NAMES = {"virtio": "vd", "sata": "sd"}


@dataclass(frozen=True)
class MachineSpec:
    """What to boot.  ``memory`` in MiB.  ``disk`` is the guest's own overlay, ``seed`` the
    NoCloud image.  ``thaw`` is the UNIX socket of the channel that tells a restored guest the time.

    Without ``firmware`` the kernel is started directly with ``cmdline``.  With ``bios`` or
    ``uefi`` that finds the boot loader of the disk, and ``kernel``, ``initrd`` and ``cmdline`` are
    not there.  ``nvram`` holds the variables of UEFI, the guest's own."""

    name: str
    arch: str
    disk: Path
    seed: Path
    kernel: Path | None
    initrd: Path | None
    cmdline: str
    console: Path
    ssh_port: int
    thaw: Path
    memory: int = 2048
    vcpus: int = 2
    firmware: str = firmware.DIRECT
    nvram: Path | None = None
    disk_bus: str = "virtio"
    seed_bus: str = "virtio"
    nic: str = "virtio"

    def with_cmdline(self, cmdline: str) -> MachineSpec:
        return replace(self, cmdline=cmdline)


def domain_xml(spec: MachineSpec, acceleration: Acceleration, identity: uuid.UUID) -> str:
    """The XML for *spec*.

    libvirt before passt has no port forwarding for user-mode networks, so the network device
    is given as QEMU arguments, at a PCI address that libvirt does not use.  Raises
    :class:`TestbedError` where this machine lacks the firmware.
    """
    ET.register_namespace("qemu", QEMU_NAMESPACE)
    domain = ET.Element("domain", type=acceleration.domain_type)
    _text(domain, "name", spec.name)
    _text(domain, "uuid", str(identity))
    _text(domain, "memory", str(spec.memory), unit="MiB")
    _text(domain, "vcpu", str(spec.vcpus))
    _boot(domain, spec)
    features = ET.SubElement(domain, "features")
    if spec.arch == "x86_64" or spec.firmware == firmware.UEFI:
        ET.SubElement(features, "acpi")  # elsewhere a device tree describes the machine
    _cpu(domain, spec.arch, acceleration)
    ET.SubElement(domain, "clock", offset="utc")
    _text(domain, "on_reboot", "restart")
    _text(domain, "on_crash", "destroy")
    _devices(domain, spec)
    arguments = ET.SubElement(domain, f"{{{QEMU_NAMESPACE}}}commandline")
    netdev = f"user,id=hostnet9,ipv6=off,hostfwd=tcp:127.0.0.1:{spec.ssh_port}-:22"
    bus = "pci.0" if spec.arch == "x86_64" else "pcie.0"
    device = f"{NICS[spec.nic]},netdev=hostnet9,id=net9,bus={bus},addr=0x1e,romfile="
    for value in ("-netdev", netdev, "-device", device):
        ET.SubElement(arguments, f"{{{QEMU_NAMESPACE}}}arg", value=value)
    return ET.tostring(domain, encoding="unicode")


def _cpu(domain: ET.Element, arch: str, acceleration: Acceleration) -> None:
    if acceleration.kind == "kvm":
        ET.SubElement(domain, "cpu", mode="host-passthrough", check="none")
    elif arch in _EMULATED:
        cpu = ET.SubElement(domain, "cpu", mode="custom", match="exact", check="none")
        _text(cpu, "model", _EMULATED[arch], fallback="forbid")
    else:
        cpu = ET.SubElement(domain, "cpu", mode="maximum", check="none")
        for name in acceleration.without:
            ET.SubElement(cpu, "feature", policy="disable", name=name)


def _boot(domain: ET.Element, spec: MachineSpec) -> None:
    system = ET.SubElement(domain, "os")
    machine = "pc" if spec.arch == "x86_64" else "virt"
    _text(system, "type", "hvm", arch=spec.arch, machine=machine)
    if spec.firmware == firmware.UEFI:
        found = firmware.uefi(spec.arch)
        if found is None:
            raise TestbedError(f"this machine has no UEFI for {spec.arch} guests any more",
                               hint=f"install the package {firmware.PACKAGES.get(spec.arch)}")
        _text(system, "loader", str(found.code), readonly="yes", type="pflash")
        _text(system, "nvram", str(spec.nvram), template=str(found.variables))
    if spec.firmware:
        ET.SubElement(system, "boot", dev="hd")
    else:
        _text(system, "kernel", str(spec.kernel))
        _text(system, "initrd", str(spec.initrd))
        _text(system, "cmdline", spec.cmdline)


def _devices(domain: ET.Element, spec: MachineSpec) -> None:
    devices = ET.SubElement(domain, "devices")
    _text(devices, "emulator", emulator(spec.arch))
    root = ET.SubElement(devices, "disk", type="file", device="disk")
    # The disk is scratch: losing it at a host crash loses nothing.
    ET.SubElement(root, "driver", name="qemu", type="qcow2", cache="unsafe", discard="unmap")
    ET.SubElement(root, "source", file=str(spec.disk))
    _target(root, spec.disk_bus, "a")
    # libvirt has no read-only disk on SATA, but a CD.
    kind = "cdrom" if spec.seed_bus == "sata" else "disk"
    seed = ET.SubElement(devices, "disk", type="file", device=kind)
    ET.SubElement(seed, "driver", name="qemu", type="raw")
    ET.SubElement(seed, "source", file=str(spec.seed))
    _target(seed, spec.seed_bus, "b")
    ET.SubElement(seed, "readonly")
    ET.SubElement(devices, "controller", type="usb", index="0", model="none")
    serial = ET.SubElement(devices, "serial", type="file")
    ET.SubElement(serial, "source", path=str(spec.console), append="on")
    ET.SubElement(serial, "target", port="0")
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "source", mode="bind", path=str(spec.thaw))
    ET.SubElement(channel, "target", type="virtio", name=THAW_CHANNEL)
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    # Pages that the guest frees go back to the host, so saved states are small.
    ET.SubElement(devices, "memballoon", model="virtio", freePageReporting="on")


def _target(disk: ET.Element, bus: str, letter: str) -> None:
    ET.SubElement(disk, "target", dev=f"{_DISK_NAMES[bus]}{letter}", bus=bus)


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text
