"""Guests that outlive their run (``--keep-failed``).

A guest belongs to the libvirt of the process that started it, and a process can hold one guest
of a state at a time.  So a kept guest is saved and restored at once by a process of its own; its
QEMU stays when that process leaves.  Connections break, everything else goes on.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.errors import TestbedError
from harness.guest.guest import Guest
from harness.guest.keys import LIFETIME_DAYS
from harness.hypervisor.acceleration import Acceleration
from harness.hypervisor.connection import connect
from harness.hypervisor.domain import MachineSpec
from harness.hypervisor.machine import Machine
from harness.rootless.lab import Lab

_PATHS = ("disk", "seed", "kernel", "initrd", "console", "thaw", "nvram")


def keep(lab: Lab, guest: Guest, why: str) -> str:
    """Keep *guest* running beyond the run; says how to enter it and how to end it."""
    lease = lab.keep(guest)
    scratch = Path(lease.directory)
    key = scratch / "id"
    guest.access.identity.write(key)
    (scratch / "known_hosts").write_text(f"[127.0.0.1]:{lease.ssh_port} {guest.access.host_key}\n")
    listens = guest.prepare_save()
    guest.machine.save(scratch / "memory.save")
    spec = guest.machine.spec
    order = {
        "spec": {k: str(v) if k in _PATHS and v else v for k, v in asdict(spec).items()},
        "acceleration": asdict(lab.acceleration(spec.arch)),
        "uuid": str(guest.machine.identity),
        "uri": lab.options.uri,
        "cache": str(lab.options.cache.root),
        "scale": guest.scale,
        "listens": listens,
    }
    (scratch / "kept.json").write_text(json.dumps(order))
    lab.leases.keep(lease)
    result = subprocess.run(
        [sys.executable, "-m", "harness.rootless.kept", str(scratch / "kept.json")],
        capture_output=True, text=True, check=False, start_new_session=True,
    )  # fmt: skip
    if result.returncode:
        lab.leases.release(lease.name)
        raise TestbedError(f"the guest of {why} could not be kept: {result.stderr.strip()[-500:]}")
    ssh = shlex.join([
        "ssh", "-i", str(key), "-o", f"UserKnownHostsFile={scratch / 'known_hosts'}",
        "-p", str(lease.ssh_port), f"{guest.access.user}@127.0.0.1",
    ])  # fmt: skip
    return (
        f"{guest.cell}: kept the guest of {why}\n"
        f"  enter: {ssh}   (or root@127.0.0.1; for {LIFETIME_DAYS} days from the run's begin)\n"
        f"  console: {lease.console}\n"
        f"  end:   harness cache reap --kept {lease.name}"
    )


def _resume(order: dict[str, Any]) -> None:
    connection = connect(
        order["uri"], capabilities_cache=Path(order["cache"]) / "libvirt", persistent=True
    )
    fields: dict[str, Any] = {
        k: Path(v) if k in _PATHS and v else v for k, v in order["spec"].items()
    }
    spec = replace(MachineSpec(**fields), thaw=connection.root / "thaw")
    scratch = spec.disk.parent
    machine = Machine.restore(
        connection, spec, Acceleration(**order["acceleration"]), uuid.UUID(order["uuid"]),
        scratch / "memory.save",
    )  # fmt: skip
    if order["listens"]:  # else the guest's clock is late by the seconds that this took
        machine.thaw(10 * order["scale"])
    (scratch / "memory.save").unlink()


if __name__ == "__main__":
    _resume(json.loads(Path(sys.argv[1]).read_text()))
