"""Deadlines of the engine's own: on a slow host they pass as they do in a broken guest."""

from __future__ import annotations

import re

from harness.errors import TestbedError
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout, Result

# dockerd gives containerd 15 seconds, and one of the system's a minute.  A guest whose disk is
# cold, on a busy host, may need more.
_SYSTEMS = r"containerd\.sock.*context deadline exceeded"
_LATE = re.compile(f"timeout waiting for containerd|{_SYSTEMS}")
# What is said where another containerd was left behind: by one that has waited ten seconds for its
# metadata, or by dockerd.  Then it is not slow.
_HELD = re.compile("waiting for response from boltdb open|containerd is still running")
# One that was up well before is not slow either: dockerd asks for it elsewhere.  Emulated, on a
# busy host, it takes two seconds.
_BOOTED = re.compile(r"containerd successfully booted in [0-4]\.\d+s")
_BEGINS = "starting containerd"
_UP = "API listen on"  # whatever was late before, it came
# A containerd that works says so; one that has never said anything is not slow.  What the system's
# says is in a log of its own.
_AT_WORK = re.compile(f"{_BEGINS}|{_SYSTEMS}")
# Of the daemon, of a swarm, of runc.
_DEADLINE = re.compile(
    r".*(context deadline exceeded|before timeout was reached|[Tt]imeout waiting for systemd).*"
)


def slow_starts(log: str) -> int:
    """How often dockerd gave up on a containerd that was slow; *log* is the daemon's."""
    return _given_up(log) if _AT_WORK.search(log) else 0


def _given_up(log: str) -> int:
    before = re.split(_LATE, log)[:-1]  # each time that dockerd gave up
    late = [text for text in before if not _BOOTED.search(text.rpartition(_BEGINS)[2])]
    return max(0, len(late) - len(_HELD.findall(log)))


def late_containerd(log: str) -> bool:
    """Whether dockerd has given up on a containerd since it was last up: slow, or of no use."""
    return _given_up(log.rpartition(_UP)[2]) > 0


def check_containerd(guest: Guest, log: str) -> None:
    """:class:`TestbedError` for :func:`late_containerd`, where it was at work."""
    if late_containerd(log) and _AT_WORK.search(log):
        raise TestbedError(
            f"{guest.cell}: containerd was not up in the time that dockerd gives it",
            hint="run fewer guests at once on this machine", detail=log[-4000:],
        )  # fmt: skip


def check_deadline(result: Result) -> None:
    """:class:`CommandTimeout` where a client was told that something did not come in time."""
    told = None if result.ok else _DEADLINE.search(result.stderr)
    if told:
        raise CommandTimeout(
            f"`{result.command[:160]}` was given up: {told.group()[-300:]}",
            detail=result.transcript[-4000:], waited=result.seconds,
        )  # fmt: skip
