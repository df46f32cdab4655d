"""Records of what is running, so that nothing is left behind and no port is used twice.

One JSON file a guest.  A guest is an orphan when the process that started it is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from harness.errors import TestbedError
from harness.hypervisor import owners

PORTS = range(20_000, 30_000)  # below the ephemeral range, so clients do not take them


@dataclass(frozen=True)
class Lease:
    """``directory`` is the guest's scratch directory, removed with it; ``kept`` guests belong to
    the user (``--keep-failed``) and outlive their run."""

    name: str
    uuid: str
    cell: str
    run: str
    owner: str  # the process, as harness.hypervisor.owners names it
    ssh_port: int
    directory: str
    console: str
    created: float
    kept: bool = False

    @property
    def owner_alive(self) -> bool:
        return owners.lives(self.owner, time.time() - self.created)


def _of_former_kind(record: dict[str, Any]) -> dict[str, Any]:
    """The record as it is written today: the start of an owner was once a time of day."""
    if record.pop("owner_started", None) is not None:
        record["owner"] = str(record.pop("owner_pid"))
    return record


def _read(path: Path) -> Lease | None:
    """What another version of the harness adds to a record is nothing to this one."""
    try:
        record = _of_former_kind(json.loads(path.read_text()))
        return Lease(**{one.name: record[one.name] for one in fields(Lease) if one.name in record})
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


class Leases:
    """The records in one directory, shared by every run that uses the same cache."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(directory / ".lock")

    def all(self) -> list[Lease]:
        """Every lease that can be read; the others are left to :meth:`reap`."""
        found = (_read(path) for path in sorted(self.directory.glob("*.json")))
        return [lease for lease in found if lease is not None]

    def take(self, *, name: str, uuid: str, cell: str, run: str, directory: Path,
             console: Path) -> Lease:  # fmt: skip
        """Lease a port on 127.0.0.1 and write the record *before* the guest starts."""
        with self._lock:
            used = {lease.ssh_port for lease in self.all()}
            lease = Lease(
                name=name, uuid=uuid, cell=cell, run=run, owner=owners.me(),
                ssh_port=_free_port(used),
                directory=str(directory), console=str(console), created=time.time(),
            )  # fmt: skip
            self._write(lease)
        return lease

    def keep(self, lease: Lease) -> Lease:
        """Hand a guest over to the user: reaping leaves it alone."""
        kept = Lease(**{**asdict(lease), "kept": True})
        self._write(kept)
        return kept

    def release(self, name: str) -> None:
        (self.directory / f"{name}.json").unlink(missing_ok=True)

    def _write(self, lease: Lease) -> None:
        path = self.directory / f"{lease.name}.json"
        temporary = path.with_suffix(f".tmp{os.getpid()}")
        temporary.write_text(json.dumps(asdict(lease)))
        temporary.replace(path)

    def reap(
        self, *, run: str | None = None, kept: bool = False, only: str | None = None
    ) -> list[Lease]:
        """End orphans (or every guest of *run*; with *kept* also those kept for the user, all
        or the one called *only*).

        Returns the leases that were ended.  Live guests of other runs are never touched.
        """
        ended = []
        with self._lock:
            for lease in self.all():
                if lease.kept:
                    doomed = kept and only in (None, lease.name)
                else:
                    doomed = lease.run == run if run is not None else not lease.owner_alive
                if doomed:
                    end_guest(lease)
                    self.release(lease.name)
                    ended.append(lease)
            for path in self.directory.glob("*.json"):
                # The guest's directory has its name, and may be in use by another version.
                if _read(path) is None and not any(qemu_processes(f"/{path.stem}")):
                    path.unlink(missing_ok=True)
        return ended


def end_guest(lease: Lease) -> None:
    """Kill the QEMU that uses the scratch directory of *lease*, and remove the directory."""
    for process in qemu_processes(lease.directory):
        with contextlib.suppress(psutil.Error):
            process.kill()
            process.wait(10)
    shutil.rmtree(lease.directory, ignore_errors=True)


def qemu_processes(directory: str) -> Iterator[psutil.Process]:
    """QEMU processes with a file in *directory*: restored guests share a name, never a disk."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("qemu-system") and f"{directory}/" in " ".join(
                process.cmdline()
            ):
                yield process


def _free_port(used: set[int]) -> int:
    for port in random.sample(PORTS, 500):
        if port in used:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise TestbedError(
        f"no free port on 127.0.0.1 in {PORTS.start}-{PORTS.stop - 1}",
        hint="end guests that are no longer needed",
        command="harness cache reap",
    )
