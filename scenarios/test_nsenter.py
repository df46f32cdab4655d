"""Entering the namespaces of the rootless daemon."""

from __future__ import annotations

import pytest

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.rootless import processes, setuptool
from harness.session.decide import Decider

pytestmark = [pytest.mark.setuptool]

# As documented, but for the command that is run there.
RECIPE = """
nsenter -U --preserve-credentials -n -m -t "$(cat "$XDG_RUNTIME_DIR/docker.pid")" -- sh -c '
    echo "id $(id -u)"
    for name in mnt net user; do echo "$name $(readlink /proc/self/ns/$name)"; done'
"""
NAMESPACES = """
for name in mnt net user; do echo "$name $(readlink "/proc/$1/ns/$name")"; done
"""


@pytest.mark.claims("M23", "P8.nsenter_works")
def test_nsenter(guest: Guest, decide: Decider) -> None:
    """The user enters the daemon's user, mount and network namespaces, and is root there."""
    daemons = processes.pids(guest, "dockerd")
    if len(daemons) != 1:
        raise GuestRefusal(f"one dockerd of the user was expected, and found: {daemons}")
    of_daemon = guest.root.sh(NAMESPACES, daemons[0]).stdout.splitlines()
    of_init = guest.root.sh(NAMESPACES, "1").stdout.splitlines()
    directory = guest.facts.xdg_runtime_dir
    entered = guest.user.sh(RECIPE, env={"XDG_RUNTIME_DIR": directory}, check=False)
    seen = entered.stdout.splitlines()
    evidence = f"{entered.transcript}\ndockerd: {of_daemon}\nPID 1: {of_init}"
    if seen == ["id 0", *of_daemon] and not set(of_daemon) & set(of_init):
        decide("M23", "enters", evidence)
    else:
        decide("M23", "enters elsewhere" if entered.ok else "does not enter", evidence)

    through_tool = setuptool.run(guest.user, "nsenter", "--", "true")
    decide("P8.nsenter_works", through_tool.exit_status == 0, through_tool.transcript)
