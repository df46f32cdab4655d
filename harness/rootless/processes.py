"""The engine's processes on a guest, whatever wrapper is before their programs."""

from __future__ import annotations

from harness.guest.guest import Guest
from harness.rootless.renamed import pattern

# A wrapper that waits for what it wraps may have its name, and is a shell's.
_PIDS = """
for pid in $(pgrep -u "$1" -x "$2"); do
    case $(readlink "/proc/$pid/exe") in
        *sh | */busybox | */python* | */perl*) ;;
        *) echo "$pid" ;;
    esac
done
"""


def pids(guest: Guest, *programs: str) -> list[str]:
    """The user's processes of these *programs*, the oldest first."""
    return guest.root.sh(
        _PIDS, guest.access.user, pattern(*programs), check=False
    ).stdout.split()  # fmt: skip


def pid(guest: Guest, program: str) -> str:
    """The oldest of :func:`pids`, or nothing."""
    return next(iter(pids(guest, program)), "")
