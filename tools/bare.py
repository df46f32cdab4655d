"""The baseline of the benchmark: QEMU and OpenSSH by hand, nothing between them."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.hypervisor.acceleration import Acceleration, emulator
from harness.hypervisor.machine import create_overlay
from harness.image.model import Image

SSH_OPTIONS = ("-q", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes")


@dataclass(frozen=True)
class Bare:
    """A way to start QEMU processes of one guest.  ``port`` is free on 127.0.0.1."""

    image: Image
    acceleration: Acceleration
    seed: Path
    key: Path
    known_hosts: Path
    port: int
    memory: int
    vcpus: int

    def command(self, disk: Path, *extra: str) -> list[str]:
        model = "host" if self.acceleration.kind == "kvm" else "max"
        cpu = ",".join([model, *(f"{name}=off" for name in self.acceleration.without)])
        return [
            emulator("x86_64"), "-machine", f"pc,accel={self.acceleration.kind}", "-cpu", cpu,
            "-m", str(self.memory), "-smp", str(self.vcpus), "-display", "none", "-nodefaults",
            "-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd),
            "-append", self.image.cmdline, "-serial", f"file:{disk.parent / 'bare-console.log'}",
            "-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe,discard=unmap",
            "-drive", f"file={self.seed},if=virtio,format=raw,readonly=on",
            "-netdev", f"user,id=n,ipv6=off,hostfwd=tcp:127.0.0.1:{self.port}-:22",
            "-device", "virtio-net-pci,netdev=n,romfile=", "-device", "virtio-rng-pci",
            "-monitor", f"unix:{disk.parent / 'monitor'},server,nowait", *extra,
        ]  # fmt: skip

    def ssh(self, user: str, *command: str, timeout: float = 60) -> bool:
        """One OpenSSH client with its own handshake; True when the command succeeded."""
        words = [
            "ssh", *SSH_OPTIONS, "-i", str(self.key), "-o", f"ConnectTimeout={int(timeout)}",
            "-o", f"UserKnownHostsFile={self.known_hosts}", "-p", str(self.port),
            f"{user}@127.0.0.1", *command,
        ]  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            return subprocess.run(words, timeout=timeout, check=False).returncode == 0
        return False

    def wait(self, user: str, limit: float, *command: str) -> float:
        """Seconds until *command* succeeds for *user*."""
        started = time.monotonic()
        while not self.ssh(user, *command):
            if time.monotonic() - started > limit:
                raise SystemExit(f"bare QEMU: no answer for {user} within {limit:.0f} s")
            time.sleep(0.05)
        return time.monotonic() - started

    @contextlib.contextmanager
    def run(self, disk: Path, *extra: str) -> Iterator[float]:
        """A QEMU process; yields the moment of its start, kills it at the end."""
        (disk.parent / "monitor").unlink(missing_ok=True)
        started = time.monotonic()
        process = subprocess.Popen(self.command(disk, *extra), stdin=subprocess.DEVNULL)
        try:
            yield started
        finally:
            process.kill()
            process.wait()


def monitor(path: Path, command: str, limit: float = 120) -> str:
    """Say *command* to QEMU's human monitor and wait for its next prompt."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(limit)
        channel.connect(str(path))
        answer = b""
        while not answer.endswith(b"(qemu) "):
            answer += channel.recv(4096)
        channel.sendall(command.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"(qemu) "):
            answer += channel.recv(4096)
    return answer.decode(errors="replace")


def running_after(path: Path, started: float, limit: float = 60) -> float:
    """Seconds from *started* until the monitor says that the guest runs."""
    while time.monotonic() - started < limit:
        with contextlib.suppress(OSError):
            if "status: running" in monitor(path, "info status"):
                return time.monotonic() - started
        time.sleep(0.01)
    raise SystemExit("bare QEMU did not resume its guest")


def prepare(bare: Bare, scratch: Path, backing: Path, user: str, ready: tuple[str, ...]) -> Path:
    """Boot on *backing*, wait for *ready*, and save it both ways: a stream and a snapshot.

    Returns the disk that holds the snapshot ``bench`` and that the stream belongs to.
    """
    disk = scratch / "bare.qcow2"
    create_overlay(disk, backing)
    with bare.run(disk):
        bare.wait(user, 300 * bare.acceleration.scale, *ready)
        path = scratch / "monitor"
        monitor(path, "stop")
        monitor(path, "savevm bench")
        monitor(path, f"migrate exec:cat>{scratch / 'stream'}")
    return disk


def fresh_overlay(disk: Path) -> Path:
    """A copy-on-write disk above *disk*, in a directory of its own."""
    directory = disk.parent / "round"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    overlay = directory / "disk.qcow2"
    create_overlay(overlay, disk)
    return overlay
