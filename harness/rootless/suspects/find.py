"""Look at a fresh guest of the state that a finding started from, and at its healthy like."""

from __future__ import annotations

import json
from dataclasses import replace

from harness.distros.base import Distro
from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.probe import run_script, script
from harness.matrix import Cell
from harness.rootless.lab import Lab
from harness.rootless.ladder import STATES
from harness.rootless.suspects import compare
from harness.rootless.suspects.compare import Look

PACKAGE = "harness.rootless.suspects"
SECONDS = 60.0  # with hardware acceleration; it reads a hundred megabytes of programs


def find(lab: Lab, cell: Cell, distro: Distro, state: str) -> tuple[str, ...]:
    """What may be at fault on guests of *cell* at *state*, the likeliest first.

    Compared with the same state without this run's hooks, induced traits and kernel arguments,
    if it has any and that state is in the cache; else it is what is remarkable by itself.  Where
    *state* cannot be reached, the one below it is looked at.
    """
    options = lab.options
    plain = Lab(replace(options, hooks={}, induced={}, kernel_arguments=""))
    altered = options.hooks or options.induced or options.kernel_arguments
    for reached in reversed(STATES[: STATES.index(state) + 1]):
        try:
            guest = lab.guest(cell, distro, reached)
        except GuestRefusal:
            continue
        here = look(guest)
        facts = guest.facts
        if not altered or not plain.has(cell, distro, reached):
            return compare.suspects(here, None)
        healthy = plain.guest(cell, distro, reached)
        told = compare.suspects(here, look(healthy))
        of_facts = compare.facts(facts, healthy.facts)
        return (*told, *(fact for fact in of_facts if fact not in told))
    return ()


def look(guest: Guest) -> Look:
    """Everything that the collector notes on *guest*, which then ends."""
    try:
        said = guest.user.run("env", "-0").stdout
        environ = dict(entry.split("=", 1) for entry in said.split("\0") if "=" in entry)
        limits = guest.user.sh("ulimit -a", check=False).stdout.splitlines()
        asked = {"environ": environ, "home": environ.get("HOME", ""), "limits": limits}
        return compare.look(run_script(
            guest.root, script("guest_collect.py", PACKAGE), json.dumps(asked),
            timeout=SECONDS * guest.scale,
        ))  # fmt: skip
    finally:
        guest.end()
