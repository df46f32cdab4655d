"""Which accelerator a guest gets, and why.

``/dev/kvm`` existing proves nothing: on a nested paravirtual host it opens and every guest
hangs.  The cheap checks come first; where they say yes, a kernel is really started.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from harness.errors import TestbedError, UsageError
from harness.matrix import EMULATOR_PACKAGES

CHOICES = ("auto", "kvm", "tcg")
PROBE_SECONDS = 20.0
KVM = Path("/dev/kvm")
_MACHINES = {"x86_64": ("pc", "ttyS0"), "aarch64": ("virt", "ttyAMA0")}
_FLAGS = {"x86_64": ("vmx", "svm")}


@dataclass(frozen=True)
class Acceleration:
    """``kind`` is ``kvm`` or ``tcg``; every time limit is multiplied by ``scale``; ``without``
    are features that the guest's processor must not have."""

    kind: str
    reason: str
    scale: float
    without: tuple[str, ...] = ()

    @property
    def domain_type(self) -> str:
        return "kvm" if self.kind == "kvm" else "qemu"


def obstacle(arch: str) -> str:
    """Why this machine cannot run guests of *arch*, in a few words; empty where it can."""
    if arch not in EMULATOR_PACKAGES:
        return f"the harness does not know machines of {arch}"
    if shutil.which(f"qemu-system-{arch}") is None:
        return f"qemu-system-{arch} is not installed (apt-get install {EMULATOR_PACKAGES[arch]})"
    return ""


def emulator(arch: str) -> str:
    """The path of QEMU for *arch*.  Raises :class:`TestbedError` when it is not installed."""
    name = f"qemu-system-{arch}"
    path = shutil.which(name)
    if path is None:
        raise TestbedError(
            f"{name} is not installed",
            hint="install it",
            command=f"apt-get install {EMULATOR_PACKAGES.get(arch, name)}",
        )
    return path


def decide(arch: str, choice: str = "auto", kernel: Path | None = None) -> Acceleration:
    """Choose for guests of *arch*.  *kernel*, when given, is started once under KVM to prove it."""
    if choice not in CHOICES:
        raise UsageError(f"unknown accelerator {choice!r}; known: {', '.join(CHOICES)}")
    if choice == "tcg":
        return Acceleration("tcg", "asked for", _tcg_scale(arch))
    refusal = _cheap_refusal(arch)
    if choice == "kvm" and arch == platform.machine():
        note = f"asked for, although {refusal}" if refusal else "asked for"
        return Acceleration("kvm", note, 1.0)
    if refusal:
        return Acceleration("tcg", refusal, _tcg_scale(arch))
    if kernel is None:
        return Acceleration("kvm", "CPU flag and /dev/kvm say yes; not proven by a kernel", 1.0)
    if _kernel_starts(arch, kernel):
        return Acceleration("kvm", "a kernel printed its version under KVM", 1.0)
    reason = f"/dev/kvm opens, but a kernel printed nothing in {PROBE_SECONDS:.0f} s"
    return Acceleration("tcg", reason, _tcg_scale(arch))


def unsound(arch: str, kind: str, qemu: str) -> tuple[str, ...]:
    """The CPU features that QEMU of version *qemu* emulates too badly for a kernel to live with.

    CMPXCHG16B leaves rubbish in EFLAGS before QEMU 8.0; an interrupt there, and the kernel
    goes on with nested tasks or its interrupts off.  Five levels of page tables cost more than
    four, for memory that no guest here has.
    """
    if kind != "tcg" or arch != "x86_64":
        return ()
    return ("la57", "cx16") if Version(qemu) < Version("8.0") else ("la57",)


def _tcg_scale(arch: str) -> float:
    return 6.0 if arch == platform.machine() else 8.0


def _cheap_refusal(arch: str) -> str:
    """Why KVM cannot serve, or an empty string."""
    machine = platform.machine()
    if arch not in _MACHINES:
        return f"the harness does not know machines of {arch}"
    if arch != machine:
        return f"the host is {machine}, the guest {arch}"
    if kvm_denied():
        return f"{KVM} is there, but this user may not open it"
    if not KVM.exists():
        return f"{KVM} is absent"
    wanted = _FLAGS.get(arch)
    if wanted:
        flags = _cpu_flags()
        if not flags.intersection(wanted):
            return f"the CPU shows none of the flags {', '.join(wanted)}, so /dev/kvm is a trap"
    return ""


def kvm_denied() -> bool:
    """Whether there is a /dev/kvm for others, as the user is not in its group."""
    return KVM.exists() and not os.access(KVM, os.R_OK | os.W_OK)


def _cpu_flags() -> frozenset[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def _kernel_starts(arch: str, kernel: Path) -> bool:
    machine, console = _MACHINES[arch]
    command = [
        emulator(arch), "-machine", machine, "-accel", "kvm", "-cpu", "host", "-m", "512",
        "-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio", "-kernel", str(kernel),
        "-append", f"console={console} earlyprintk=serial panic=-1",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        seen = b""
        deadline = time.monotonic() + PROBE_SECONDS
        try:
            while time.monotonic() < deadline and process.poll() is None:
                seen += process.stdout.read() or b""
                if b"Linux version" in seen:
                    return True
                time.sleep(0.05)
            return b"Linux version" in seen + (process.stdout.read() or b"")
        finally:
            process.kill()
