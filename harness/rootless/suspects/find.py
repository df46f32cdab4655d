"""Look at a fresh guest of the state that a finding started from, and at its healthy like."""

from __future__ import annotations

import json
from dataclasses import replace

from harness.distros.base import Distro
from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.probe import run_script, script
from harness.guest.session import CommandTimeout
from harness.matrix import Cell
from harness.rootless.lab import Lab
from harness.rootless.ladder import STATES
from harness.rootless.suspects import compare
from harness.rootless.suspects.compare import Look

PACKAGE = "harness.rootless.suspects"
SECONDS = 60.0  # with hardware acceleration; it reads a hundred megabytes of programs


def find(lab: Lab, cell: Cell, distro: Distro, state: str) -> tuple[str, ...]:
    """What may be at fault on guests of *cell* at *state*, the likeliest first.

    Compared with the same state without this run's hooks, induced traits, kernel arguments and
    withheld hints, if it has any and that state is in the cache.  If that is not, a state below it
    is compared, the one that a hook altered at the latest: its healthy like was made on the way.
    Of *state* itself it is then what is remarkable by itself, as it is where nothing was altered.
    Where *state* cannot be reached, what it would be is looked at if something was altered
    there, and else the one below it.
    """
    options = lab.options
    plain = Lab(replace(options, hooks={}, induced={}, kernel_arguments="", withheld=()))
    altered = options.altered or distro.among(options.withheld)
    above: Look | None = None
    for reached in reversed(STATES[: STATES.index(state) + 1]):
        compared = altered and _has_healthy(lab, plain, cell, distro, reached)
        if above is not None and not compared:
            continue
        guest = _as_altered(lab, cell, distro, reached)
        if guest is None:
            continue
        here = look(guest)
        facts = guest.facts
        if not compared:
            above = here
            continue
        healthy = plain.guest(cell, distro, reached)
        told = compare.suspects(here, _without_login(look(healthy), here))
        of_facts = compare.facts(facts, healthy.facts)
        later = compare.suspects(compare.later(above or {}, here), None)
        return (*told, *(fact for fact in of_facts if fact not in told), *later)
    return compare.suspects(above or {}, None)


def _has_healthy(lab: Lab, plain: Lab, cell: Cell, distro: Distro, state: str) -> bool:
    """Whether *state* is other than *plain* has it, and the plain one is in the cache."""
    keys, plain_keys = lab.keys_of(cell, distro), plain.keys_of(cell, distro)
    return keys[state] != plain_keys[state] and plain.has(cell, distro, state)


def _as_altered(lab: Lab, cell: Cell, distro: Distro, state: str) -> Guest | None:
    """A guest at *state*, or one that was altered there and then refused to be it; or None."""
    try:
        return lab.guest(cell, distro, state)
    except GuestRefusal:
        pass
    try:
        return lab.altered(cell, distro, state)
    except GuestRefusal:
        return None


def look(guest: Guest) -> Look:
    """Everything that the collector notes on *guest*, which then ends."""
    try:
        try:
            said = guest.user.run("env", "-0").stdout
            limits = guest.user.sh("ulimit -a", check=False).stdout.splitlines()
        except (GuestRefusal, CommandTimeout):  # the user is not let in, or nothing runs there
            said, limits = "", []
        environ = dict(entry.split("=", 1) for entry in said.split("\0") if "=" in entry)
        home = environ.get("HOME", f"/home/{guest.access.user}")
        asked = {"user": guest.access.user, "environ": environ, "home": home, "limits": limits}
        return compare.look(run_script(
            guest.root, script("guest_collect.py", PACKAGE), json.dumps(asked), timeout=SECONDS
        ))  # fmt: skip
    finally:
        guest.end()


def _without_login(healthy: Look, here: Look) -> Look:
    """*healthy* without what a login tells, where there was none *here*: that is nothing gone."""
    login = ("login ", "limit ")
    if any(key.startswith(login) for key in here):
        return healthy
    return {key: thing for key, thing in healthy.items() if not key.startswith(login)}
