"""Whether the process that left a record still lives, told without a clock.

A process is known by its id and the tick of the kernel's own count at which it started, together
with the boot and the namespace of process ids that both belong to.  A time of day would not do:
a host whose clock is set would take every process for another.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil

FORGOTTEN = 86_400.0  # seconds after which an owner that cannot be seen is taken for dead
_STATE, _STARTED = 0, 19  # fields of /proc/PID/stat, counted from behind the name


def me() -> str:
    """This process, as a word without a slash."""
    pid = os.getpid()
    return f"{pid}-{_started(pid)}-{_boot()}-{_namespace()}"


def lives(owner: str, age: float) -> bool:
    """Whether the process that called itself *owner* is there; its record is *age* seconds old.

    Of a process in another namespace (another container) nothing is known but its record's age.
    What is no word of :func:`me` begins with a process id: any process of that id will do.
    """
    pid, *rest = owner.split("-")
    if not pid.isdecimal():
        return False
    if len(rest) != 3:
        return psutil.pid_exists(int(pid))
    started, boot, namespace = rest
    if boot != _boot():
        return False
    if namespace != _namespace():
        return age < FORGOTTEN
    return _started(int(pid)) == started


def _started(pid: int) -> str:
    """Ticks from the boot to the start of *pid*; empty where it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return "" if fields[_STATE] in "ZX" else fields[_STARTED]  # ended, and nobody has looked yet


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().partition("-")[0]


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)
