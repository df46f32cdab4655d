"""Which firmware is taken, and the XML of machines that boot with it."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.errors import TestbedError
from harness.hypervisor import domain, firmware
from harness.hypervisor.acceleration import Acceleration
from harness.hypervisor.connection import connect
from harness.hypervisor.domain import QEMU_NAMESPACE, MachineSpec, domain_xml
from harness.hypervisor.firmware import BIOS, UEFI
from harness.paths import cache

TCG = Acceleration("tcg", "asked for", 6.0)


def describe(folder: Path, name: str, arch: str, machine: str, *features: str) -> Path:
    """A description as a package installs it, with its files."""
    folder.mkdir(exist_ok=True)
    code, variables = folder / f"{name}.code", folder / f"{name}.vars"
    for path in (code, variables):
        path.write_bytes(b"x")
    described: dict[str, Any] = {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": str(code), "format": "raw"},
            "nvram-template": {"filename": str(variables), "format": "raw"},
        },
        "targets": [{"architecture": arch, "machines": [machine]}],
        "features": list(features),
    }
    (folder / f"{name}.json").write_text(json.dumps(described))
    return code


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The administrator's directory of descriptions, and the packages'."""
    folders = tmp_path / "etc", tmp_path / "usr"
    monkeypatch.setattr(firmware, "DESCRIPTIONS", folders)
    monkeypatch.setattr(domain, "emulator", lambda arch: f"/usr/bin/qemu-system-{arch}")
    return folders


def test_the_first_without_secure_boot_is_taken(own: tuple[Path, Path]) -> None:
    _, packages = own
    assert firmware.uefi("x86_64") is None
    describe(packages, "40-enrolled", "x86_64", "pc-q35-*", "secure-boot", "requires-smm")
    describe(packages, "45-q35", "x86_64", "pc-q35-*")
    describe(packages, "50-arm", "aarch64", "virt-*")
    code = describe(packages, "60-plain", "x86_64", "pc-i440fx-*", "acpi-s3")
    describe(packages, "70-later", "x86_64", "pc-i440fx-*")
    (packages / "10-broken.json").write_text("[]")
    found = firmware.uefi("x86_64")
    assert found is not None
    assert found.code == code
    assert found.variables.name == "60-plain.vars"


def test_an_administrators_empty_file_hides_a_firmware(own: tuple[Path, Path]) -> None:
    etc, packages = own
    describe(packages, "60-plain", "x86_64", "pc-i440fx-*")
    etc.mkdir()
    (etc / "60-plain.json").write_text("")
    assert firmware.uefi("x86_64") is None


def test_a_description_without_its_files_is_passed_over(own: tuple[Path, Path]) -> None:
    describe(own[1], "60-plain", "x86_64", "pc-i440fx-*").unlink()
    assert firmware.uefi("x86_64") is None


def test_the_first_that_is_there_is_chosen(own: tuple[Path, Path]) -> None:
    assert firmware.choose("debian-12/x86_64", "x86_64", (UEFI, BIOS)) == BIOS
    describe(own[1], "60-plain", "x86_64", "pc-i440fx-*")
    assert firmware.choose("debian-12/x86_64", "x86_64", (UEFI, BIOS)) == UEFI
    assert firmware.choose("debian-12/x86_64", "x86_64", (BIOS, UEFI)) == BIOS


def test_what_is_missing_is_named(own: tuple[Path, Path]) -> None:
    with pytest.raises(TestbedError, match="boots with uefi") as caught:
        firmware.choose("debian-12/aarch64", "aarch64", (UEFI,))
    assert caught.value.command == "apt-get install qemu-efi-aarch64"
    with pytest.raises(TestbedError):  # no machine for aarch64 has a BIOS
        firmware.choose("debian-12/aarch64", "aarch64", (BIOS,))


def spec(arch: str, **more: Any) -> MachineSpec:
    direct = not more.get("firmware")
    return MachineSpec(
        name="guest", arch=arch, disk=Path("/s/disk.qcow2"), seed=Path("/s/seed.iso"),
        kernel=Path("/i/vmlinuz") if direct else None, initrd=Path("/i/initrd") if direct else None,
        cmdline="quiet" if direct else "", console=Path("/l/console"), ssh_port=20000,
        thaw=Path("/r/thaw"), **more,
    )  # fmt: skip


def xml(given: MachineSpec) -> ET.Element:
    return ET.fromstring(domain_xml(given, TCG, uuid.UUID(int=1)))


def arguments(root: ET.Element) -> str:
    return " ".join(arg.attrib["value"] for arg in root.iter(f"{{{QEMU_NAMESPACE}}}arg"))


def targets(root: ET.Element) -> list[tuple[str, str]]:
    found = root.findall("devices/disk/target")
    return [(target.attrib["dev"], target.attrib["bus"]) for target in found]


def test_a_kernel_is_started_directly(own: tuple[Path, Path]) -> None:
    root = xml(spec("x86_64"))
    assert root.findtext("os/kernel") == "/i/vmlinuz"
    assert root.findtext("os/cmdline") == "quiet"
    assert root.find("os/boot") is None
    assert targets(root) == [("vda", "virtio"), ("vdb", "virtio")]
    assert "virtio-net-pci,netdev=hostnet9,id=net9,bus=pci.0" in arguments(root)
    assert root.find("features/acpi") is not None


def test_aarch64_without_uefi_has_no_acpi(own: tuple[Path, Path]) -> None:
    root = xml(spec("aarch64"))
    assert root.find("features/acpi") is None
    assert root.findtext("cpu/model") == "cortex-a72"
    assert "bus=pcie.0" in arguments(root)


def test_bios_boots_the_disk(own: tuple[Path, Path]) -> None:
    root = xml(spec("x86_64", firmware=BIOS, disk_bus="sata", seed_bus="sata", nic="e1000e"))
    names = [child.tag for child in root.findall("os/*")]
    assert names == ["type", "boot"]
    assert targets(root) == [("sda", "sata"), ("sdb", "sata")]
    assert [disk.attrib["device"] for disk in root.findall("devices/disk")] == ["disk", "cdrom"]
    assert "e1000e,netdev=hostnet9" in arguments(root)


@pytest.mark.parametrize(
    ("arch", "machine", "kind", "bus"),
    [("x86_64", "pc-i440fx-*", "pc", "pci.0"), ("aarch64", "virt-*", "virt", "pcie.0")],
)
def test_uefi_has_variables_of_the_guests_own(
    own: tuple[Path, Path], arch: str, machine: str, kind: str, bus: str
) -> None:
    code = describe(own[1], "60-plain", arch, machine)
    root = xml(spec(arch, firmware=UEFI, nvram=Path("/s/nvram.fd"), seed_bus="sata"))
    loader, nvram = root.find("os/loader"), root.find("os/nvram")
    assert loader is not None
    assert nvram is not None
    assert (loader.text, loader.attrib) == (str(code), {"readonly": "yes", "type": "pflash"})
    assert nvram.text == "/s/nvram.fd"
    assert nvram.attrib["template"] == str(code.with_suffix(".vars"))
    kinds = root.find("os/type")
    assert kinds is not None
    assert kinds.attrib["machine"] == kind
    assert root.find("os/kernel") is None
    assert targets(root) == [("vda", "virtio"), ("sdb", "sata")]
    assert f"bus={bus}," in arguments(root)


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="needs QEMU")
@pytest.mark.parametrize("nic", sorted(domain.NICS))
@pytest.mark.parametrize("disk_bus", ["virtio", "sata"])
@pytest.mark.parametrize("seed_bus", ["virtio", "sata"])
@pytest.mark.parametrize("boots", [BIOS, UEFI])
def test_libvirt_takes_every_machine(
    boots: str, seed_bus: str, disk_bus: str, nic: str, tmp_path: Path
) -> None:
    if boots == UEFI and firmware.uefi("x86_64") is None:
        pytest.skip("needs the package ovmf")
    given = spec("x86_64", firmware=boots, nvram=tmp_path / "nvram" if boots == UEFI else None,
                 seed_bus=seed_bus, disk_bus=disk_bus, nic=nic)  # fmt: skip
    connection = connect(capabilities_cache=cache().root / "libvirt")
    text = domain_xml(given, TCG, uuid.uuid4())
    line = connection.handle.domainXMLToNative("qemu-argv", text, 0)
    assert f'"driver":"{"ide-hd" if disk_bus == "sata" else "virtio-blk-pci"}"' in line
    assert '"bootindex":1' in line
    assert ("pflash0=" in line) == (boots == UEFI)


@pytest.mark.skipif(shutil.which("qemu-system-aarch64") is None, reason="needs its QEMU")
def test_libvirt_takes_a_machine_of_aarch64() -> None:
    connection = connect(capabilities_cache=cache().root / "libvirt")
    text = domain_xml(spec("aarch64"), TCG, uuid.uuid4())
    line = connection.handle.domainXMLToNative("qemu-argv", text, 0)
    assert "-cpu cortex-a72" in line
    assert "-kernel /i/vmlinuz" in line
    assert '"driver":"virtio-blk-pci"' in line


def test_firmware_that_went_away_is_the_test_beds_fault(own: tuple[Path, Path]) -> None:
    with pytest.raises(TestbedError, match="no UEFI"):
        xml(spec("x86_64", firmware=UEFI, nvram=Path("/s/nvram.fd")))


@pytest.mark.parametrize(
    ("version", "release"),
    [("2022.11-6+deb12u2", "202211"), ("2020.11-2+deb11u3", "202011"), ("1:strange", ""), ("", "")],
)
def test_the_release_of_edk2_is_that_of_its_package(
    version: str, release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "dpkg-query"
    tool.write_text(f"#!/bin/sh\n[ $3 = qemu-efi-aarch64 ] && printf %s '{version}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert firmware.edk2("aarch64") == release


def test_where_no_package_is_known_nor_is_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert firmware.edk2("aarch64") == ""
