"""The engine's processes on a guest, whatever wrapper is before their programs."""

from __future__ import annotations

import re

from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout
from harness.rootless.renamed import original, pattern

# A wrapper that waits for what it wraps may have its name, and is a shell's.
_PIDS = """
for pid in $(pgrep -u "$1" -x "$2"); do
    case $(readlink "/proc/$pid/exe") in
        *sh | */busybox | */python* | */perl*) ;;
        *) echo "$pid" ;;
    esac
done
"""
_STATS = 'for pid in $(pgrep -u "$1"); do cat "/proc/$pid/stat"; done 2> /dev/null'
_STAT = re.compile(r"^\d+ \((.*)\) \S" + r" \S+" * 10 + r" (\d+) (\d+) ", re.MULTILINE)
TICKS = 100  # a second, in /proc/PID/stat: USER_HZ
# What may be at work all the time on a slow host; /proc/self/exe is RootlessKit or dockerd.
_ENGINE = ("dockerd", "containerd", "rootlesskit", "exe")
_MOST = 0.8


def pids(guest: Guest, *programs: str) -> list[str]:
    """The user's processes of these *programs*, the oldest first."""
    return guest.root.sh(
        _PIDS, guest.access.user, pattern(*programs), check=False
    ).stdout.split()  # fmt: skip


def pid(guest: Guest, program: str) -> str:
    """The oldest of :func:`pids`, or nothing."""
    return next(iter(pids(guest, program)), "")


def spins(guest: Guest, late: CommandTimeout) -> bool:
    """Whether a process of the user's that is none of the engine's was at work nearly all the time
    that it was waited for what is *late*: what starts an engine does next to nothing itself."""
    told = guest.root.sh(_STATS, guest.access.user, check=False).stdout
    return any(
        (int(user) + int(system)) / TICKS > _MOST * late.waited > 0
        for name, user, system in _STAT.findall(told)
        if not original(name, _ENGINE)
    )
