"""A running machine: start, restore, save, set the clock, power-cycle, end."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import time
import uuid
from pathlib import Path

import libvirt
import psutil

from harness.errors import RestoreError, TestbedError
from harness.hypervisor.acceleration import Acceleration
from harness.hypervisor.connection import Connection
from harness.hypervisor.console import Console
from harness.hypervisor.domain import MachineSpec, domain_xml
from harness.hypervisor.leases import qemu_processes

_THAW_TRIES = 5


class Machine:
    """One libvirt domain and its console.  Made by :meth:`boot` or :meth:`restore`."""

    def __init__(
        self, connection: Connection, spec: MachineSpec, acceleration: Acceleration,
        identity: uuid.UUID,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._acceleration = acceleration
        self.identity = identity
        self.spec = spec
        self.console = Console(spec.console)
        self._domain: libvirt.virDomain | None = None

    @classmethod
    def boot(
        cls, connection: Connection, spec: MachineSpec, acceleration: Acceleration,
        identity: uuid.UUID,
    ) -> Machine:  # fmt: skip
        machine = cls(connection, spec, acceleration, identity)
        machine._start()
        return machine

    @classmethod
    def restore(
        cls, connection: Connection, spec: MachineSpec, acceleration: Acceleration,
        identity: uuid.UUID, memory: Path,
    ) -> Machine:  # fmt: skip
        """Continue the machine saved in *memory* with the disk, port and console of *spec*.

        *identity* and the name must be those of the saved machine.  Raises
        :class:`RestoreError` when libvirt or QEMU refuses the file.
        """
        machine = cls(connection, spec, acceleration, identity)
        xml = domain_xml(spec, acceleration, identity)
        try:
            connection.handle.restoreFlags(str(memory), xml, libvirt.VIR_DOMAIN_SAVE_RUNNING)
            machine._domain = connection.handle.lookupByUUIDString(str(identity))
        except libvirt.libvirtError as error:
            raise RestoreError(
                f"the saved state {memory.parent.name} could not be restored: "
                f"{_reason(error)}",
                hint="it will be rebuilt; if this repeats, remove the saved states",
                command="harness cache clear --states",
            ) from error
        return machine

    def _start(self) -> None:
        xml = domain_xml(self.spec, self._acceleration, self.identity)
        try:
            self._domain = self._connection.handle.createXML(xml, 0)
        except libvirt.libvirtError as error:
            raise TestbedError(
                f"QEMU did not start {self.spec.name}: {_reason(error)}",
                hint="check the host",
                command="harness doctor",
            ) from error

    @property
    def running(self) -> bool:
        if self._domain is None:
            return False
        try:
            return bool(self._domain.isActive())
        except libvirt.libvirtError:
            return False

    @property
    def paused(self) -> bool:
        """Whether QEMU has stopped the processors, as it does where the host's disk is full.
        While a machine is saved, libvirt does so too."""
        if self._domain is None:
            return False
        try:
            return bool(self._domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED)
        except libvirt.libvirtError:
            return False

    def save(self, path: Path) -> None:
        """Write memory and device state to *path*; the machine ends."""
        assert self._domain is not None
        try:
            self._domain.saveFlags(str(path), None, libvirt.VIR_DOMAIN_SAVE_RUNNING)
        except libvirt.libvirtError as error:
            raise TestbedError(
                f"saving the state of {self.spec.name} failed: {_reason(error)}",
                hint="look at the free space of the cache directory",
                command="harness cache",
            ) from error
        self._domain = None

    def thaw(self, timeout: float) -> None:
        """Tell a restored guest the time and give it fresh entropy; wait for its answer.

        The guest listens since before it was saved (see ``harness.guest.clock``).  *timeout* in
        seconds; raises :class:`RestoreError` when no answer comes.
        """
        deadline = time.monotonic() + timeout
        answer, trouble = b"", ""
        while not answer and (left := deadline - time.monotonic()) > 0:
            # Said again now and then, with the time as it is then: no harm if both are heard.
            try:
                answer = self._tell_time(min(left, timeout / _THAW_TRIES))
            except OSError as error:
                trouble = str(error) or type(error).__name__
            if not answer:
                time.sleep(0.01)
        if answer.split()[:1] != [b"ok"]:
            raise RestoreError(
                f"the restored guest did not take the time within {timeout:.0f} s ({trouble}; it "
                f"said {answer!r}; QEMU is {'running' if self.running else 'gone'})",
                hint="the saved state may be damaged; remove it, it is then rebuilt",
                command="harness cache clear --states",
                detail=self.console.tail(),
            )

    def _tell_time(self, timeout: float) -> bytes:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(timeout)
            channel.connect(str(self.spec.thaw))
            channel.sendall(thaw_line().encode())
            return channel.recv(64)

    def power_cycle(self, cmdline: str, timeout: float) -> None:
        """Wait for the guest, told to power off, to do so, then start it, with *cmdline* if its
        kernel is started directly."""
        deadline = time.monotonic() + timeout
        while self.running and time.monotonic() < deadline:
            time.sleep(0.1)
        self.end()
        self.spec = self.spec.with_cmdline(cmdline)
        self._start()

    def end(self) -> None:
        """Destroy the domain; nothing happens where it is gone."""
        if self._domain is not None:
            # libvirt would ask QEMU to leave, and look again every 0.2 s.
            for process in qemu_processes(str(self.spec.disk.parent)):
                with contextlib.suppress(psutil.Error):
                    process.kill()
                    process.wait(10)
            with contextlib.suppress(libvirt.libvirtError):
                self._domain.destroy()
            self._domain = None


def thaw_line() -> str:
    """What a restored guest is told: the time, and entropy that nobody else gets."""
    return f"{time.time():.6f} {secrets.token_hex(64)}\n"


def create_overlay(path: Path, backing: Path, least: int = 0) -> None:
    """A copy-on-write disk on top of *backing* (qcow2), of as many bytes, but no fewer than
    *least*."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(backing)]
    command.append(str(path))
    if least > _virtual_size(backing):
        command.append(str(least))
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise TestbedError(
            f"no overlay could be made on {backing}: {result.stderr.strip()}",
            hint="the image or a saved state below it may be gone or the disk full",
            command="harness cache",
        )


def _virtual_size(path: Path) -> int:
    """Bytes of the disk that a qcow2 is, by its header; 0 where it cannot be read."""
    try:
        with path.open("rb") as file:
            return int.from_bytes(file.read(32)[24:], "big")
    except OSError:
        return 0


def _reason(error: libvirt.libvirtError) -> str:
    return str(error.get_error_message() or error).strip().splitlines()[0]
