"""What the setup tool tells root to do, done; and starts of a daemon that nobody prepared."""

from __future__ import annotations

import re

import pytest

from harness.guest.guest import Guest
from harness.rootless import attempt, inducing, installing, setuptool
from harness.rootless.attempt import words_of_check
from harness.rootless.expectations import instructions, missing
from harness.rootless.setuptool import ToolResult
from harness.session.decide import Decider

pytestmark = [pytest.mark.setuptool, pytest.mark.state("prepared"), pytest.mark.nightly]

SUBUID = "/etc/subuid"
MANAGERS = ("apt-get", "dnf", "yum")
BLOCK = "/root/block.sh"
# The block calls sudo, which is for users, and needs the path that sudo gives.
AS_ROOT = 'PATH=$PATH:/usr/sbin:/sbin; sudo() { "$@"; }; . "$1"'
LINE = re.compile(r'echo "?[^":]+:(\d+:\d+)"? >> /etc/subuid')


def check(guest: Guest) -> ToolResult:
    return setuptool.run(guest.user, "check", path=guest.facts.setuptool)


@pytest.mark.claims("D6.start_without", "D8.subuid_line", "D8.block")
def test_block(guest: Guest, decide: Decider) -> None:
    """The commands that the tool prints cure what it misses, but may give ids away twice."""
    guest.root.write(SUBUID, f"somebody:{instructions.OFFERED}\n")
    started = attempt.begin(guest)
    decide("D6.start_without", started.outcome, started.evidence)

    for name in instructions.lacking(guest.facts):
        if name != "subuid":
            about, value = missing.lack(guest.facts, name)
            inducing.find(about, value).act(guest, value)
    told = check(guest)
    line = LINE.search(told.instructions)
    decide("D8.subuid_line", line.group(1) if line else "no line", told.transcript)
    guest.root.write(BLOCK, told.instructions)
    done = guest.root.sh(AS_ROOT, BLOCK, check=False)
    cured = check(guest)
    evidence = f"{told.transcript}\n{done.transcript}\n{cured.transcript}"
    decide("D8.block", words_of_check(cured), evidence)


@pytest.mark.claims("D8.no_manager", "D8.streams", "P12.start_without_rootlesskit")
def test_without_managers(guest: Guest, decide: Decider) -> None:
    """Without a package manager to name, the tool stops at the first program that is missing."""
    there = [name for name in MANAGERS if guest.root.sh('command -v "$1"', name, check=False).ok]
    taken = ("newuidmap", "iptables", *there)
    for name in taken:
        installing.hide(guest.root, name)
    said = check(guest)
    decide("D8.no_manager", words_of_check(said), said.transcript)
    decide("D8.streams", setuptool.streams(said), said.transcript)
    for name in taken:
        installing.show(guest.root, name)

    installing.hide(guest.root, "rootlesskit")
    started = attempt.begin(guest)
    decide("P12.start_without_rootlesskit", started.outcome, started.evidence)
