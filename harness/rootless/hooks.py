"""A user's scripts, run as root in the guest when a state is made (``--hook STATE:SCRIPT``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from harness.errors import TestbedError
from harness.guest.guest import Guest
from harness.guest.session import ended

HOOK_SECONDS = 300.0
REBOOT_FLAG = "/run/reboot-required"  # Debian's own name for the wish


def run(guest: Guest, state: str, paths: Iterable[Path], progress: Callable[[str], None]) -> None:
    """Run each script, and reboot where it asks for it.

    A script without a ``#!`` line is taken by sh.  One that fails is the user's own trouble, and
    so :class:`TestbedError`, never a finding.
    """
    for path in paths:
        progress(f"{guest.cell}: hook {path.name} at state {state}")
        script = path.read_bytes()
        if not script.startswith(b"#!"):
            script = b"#!/bin/sh\n" + script
        # Not in /run or /tmp, which may be mounted noexec.
        guest.root.write("/root/.harness-hook", script, mode=0o700)
        result = guest.root.sh(
            "/root/.harness-hook; status=$?; rm -f /root/.harness-hook; exit $status",
            timeout=HOOK_SECONDS, check=False,
        )  # fmt: skip
        if not result.ok:
            raise TestbedError(
                f"{guest.cell}: the hook {path} {ended(result.exit_status)}",
                hint="try it by hand in the state",
                command=f"harness shell {guest.cell} --state {state}",
                detail=result.transcript[-2000:],
            )
        if guest.root.run("test", "-e", REBOOT_FLAG, check=False).ok:
            progress(f"{guest.cell}: the hook asks for a reboot")
            guest.reboot()
