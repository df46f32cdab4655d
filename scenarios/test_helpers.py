"""The helpers that write id maps: where they come from, and life without them."""

from __future__ import annotations

import pytest

from harness.distros.base import Distro
from harness.guest.capabilities import xattr_text
from harness.guest.guest import Guest
from harness.packages import manager
from harness.rootless import attempt, installing
from harness.rootless.expectations.helpers import HELPERS
from harness.rootless.traits.tools import HELPERS as NEEDED
from harness.rootless.traits.tools import helper_power
from harness.session.decide import Decider

pytestmark = [pytest.mark.helpers, pytest.mark.state("prepared")]

# Name, path, owner, mode and the capabilities of the file.
LOOK = r"""
import os, shutil, stat, sys

def capabilities(path):
    try:
        return os.getxattr(path, "security.capability").hex()
    except OSError:
        return "-"

for name in sys.argv[1:]:
    path = shutil.which(name)
    if path:
        seen = os.stat(path)
        mode = f"{stat.S_IMODE(seen.st_mode):o}"
        print(name, path, seen.st_uid, mode, capabilities(path))
"""


def privilege(name: str, owner: str, mode: str, capabilities: str) -> str:
    held = "" if capabilities == "-" else xattr_text(bytes.fromhex(capabilities))
    return helper_power(int(owner), int(mode, 8), held, NEEDED[name])


@pytest.mark.claims("M3", "D5", "M4", "P5", "M10")
def test_installed(guest: Guest, distro: Distro, decide: Decider) -> None:
    """Both helpers are installed, from the documented package, with privilege of their own."""
    look = guest.user.run("python3", "-I", "-", *HELPERS, input=LOOK)
    found = {words[0]: words[1:] for words in map(str.split, look.stdout.splitlines())}
    decide("M3", " ".join(sorted(found)) or "none", look)

    powers = [privilege(n, *found[n][1:]) if n in found else "missing" for n in HELPERS]
    decide("D5", "/".join(dict.fromkeys(powers)), look)

    packages = manager(distro.package_manager, guest.root)
    owners = {name: packages.owner(path) for name, (path, *_) in found.items()}
    text = "/".join(dict.fromkeys(owners.values())) or "none"
    evidence = "\n".join(f"{name} belongs to {owner or 'none'}" for name, owner in owners.items())
    for key in ("M4", "P5", "M10"):
        decide(key, text, evidence)


@pytest.mark.claims("M3.newuidmap", "M3.newgidmap", "M3.start_newuidmap", "M3.start")
def test_missing(guest: Guest, decide: Decider) -> None:
    """Without either helper the daemon does not start; the setup tool may notice only one."""
    starts = {"newuidmap": "M3.start_newuidmap", "newgidmap": "M3.start"}
    for name in HELPERS:
        installing.hide(guest.root, name)
        checked = attempt.check(guest)
        decide(f"M3.{name}", checked.outcome, checked.evidence)
        started = attempt.begin(guest)
        decide(starts[name], started.outcome, started.evidence)
        installing.show(guest.root, name)


@pytest.mark.claims("M3.powerless")
def test_powerless(guest: Guest, decide: Decider) -> None:
    """A newuidmap without its privilege is as good as none."""
    binary = guest.facts.binary("newuidmap")
    if binary is not None:
        guest.root.run("chmod", "u-s", binary.path)
        guest.root.sh('PATH=$PATH:/usr/sbin setcap -r "$1"', binary.path, check=False)
    started = attempt.begin(guest)
    decide("M3.powerless", started.outcome, started.evidence)
