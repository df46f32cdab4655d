"""Uninstalling the rootless daemon with its tool, what stays, and installing it again."""

from __future__ import annotations

import json

import pytest

from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.rootless import engine, installing, setuptool
from harness.rootless.engine import Docker
from harness.rootless.expectations import lines
from harness.rootless.renamed import pattern
from harness.session.decide import Decider

pytestmark = [pytest.mark.install]

UNITS = ".config/systemd/user"
UNIT = f"{UNITS}/docker.service"
MARK = "# kept as it is"
SETTINGS = ".config/docker/daemon.json"
VOLUME = "kept"


def contexts(guest: Guest) -> Result:
    """The client's contexts, without a variable that chooses one."""
    return guest.user.run(
        "docker", "context", "ls", "--format", "{{.Name}} {{.Current}}", check=False
    )


def unit(guest: Guest) -> Result:
    return guest.user.sh('cat "$HOME/$1"', UNIT, check=False)


def own(guest: Guest, docker: Docker) -> str:
    """Make what is the user's own: a volume, and settings, which are returned."""
    docker("volume", "create", VOLUME)
    settings = json.dumps({**guest.facts.daemon_json, "labels": ["kept=yes"]})
    guest.user.write(SETTINGS, settings)
    return settings


def left(guest: Guest, root: str, settings: str) -> tuple[str, str]:
    """Which of the binaries, the data and what :func:`own` made are there, and the look at them."""
    names = ("dockerd", "rootlesskit")
    paths = [binary.path for name in names if (binary := guest.facts.binary(name))]
    volume = f"{root}/volumes/{VOLUME}/_data"
    look = guest.user.sh('ls -d "$@"', *paths, guest.facts.setuptool, root, volume, check=False)
    said = guest.user.run("cat", SETTINGS, check=False)
    there = set(look.stdout.split())
    kept = {
        "binaries": {*paths, guest.facts.setuptool} <= there,
        "data": root in there,
        "settings": said.stdout == settings,
        "volume": volume in there,
    }
    told = " ".join(name for name, still in kept.items() if still) or "nothing"
    return told, f"{look.transcript}\n{said.transcript}"


@pytest.mark.claims("D13.uninstall", "D13.uninstall_context", "D13.uninstall_keeps",
                    "D13.uninstall_said", "D13.reinstall", "D13.install_twice",
                    "D13.install_twice_said")  # fmt: skip
def test_uninstall(guest: Guest, docker: Docker, decide: Decider) -> None:
    """`uninstall` takes the unit and the context away and leaves the rest for `install`."""
    if not guest.facts.user_session:
        for key in decide.undecided():
            decide(key, None)
        return
    guest.user.sh('echo "$2" >> "$HOME/$1"', UNIT, MARK)
    again = engine.install(guest)
    kept = unit(guest)
    said = installing.outcome(guest, again)
    untouched = "unit untouched" if MARK in kept.stdout else "unit changed"
    decide("D13.install_twice", f"{said}, {untouched}", f"{again.transcript}\n{kept.transcript}")
    told = [*installing.lines(again.stderr), *installing.lines(again.stdout)]
    decide("D13.install_twice_said", ", ".join(told) or "none", again.transcript)

    root = docker("info", "--format", "{{.DockerRootDir}}").stdout.strip()
    image = docker("image", "inspect", "--format", "{{.Id}}", engine.IMAGE).stdout
    settings = own(guest, docker)
    had = contexts(guest)
    removed = setuptool.run(guest.user, "uninstall")
    state = guest.user.run("systemctl", "--user", "is-active", "docker.service", check=False)
    gone = unit(guest)
    enabled = guest.user.sh('ls -l "$HOME/$1"/*/docker.service', UNITS, check=False)
    running = guest.root.run("pgrep", "-a", "-u", guest.access.user, "-x",
                             pattern("dockerd", "rootlesskit", "containerd"),
                             check=False)  # fmt: skip
    words = [f"exit {removed.exit_status}", f"daemon {state.stdout.strip()}",
             f"unit {'left' if gone.ok else 'removed'}"]  # fmt: skip
    words += ["still enabled"] if enabled.ok else []
    words += ["processes left"] if running.ok else []
    looks = (removed, state, gone, enabled, running)
    decide("D13.uninstall", ", ".join(words), "\n".join(look.transcript for look in looks))
    told = installing.lines(removed.stdout, lines.UNINSTALL)
    decide("D13.uninstall_said", ", ".join(told) or "none", removed.transcript)
    has = contexts(guest)
    states = installing.contexts(has.stdout)
    current = next((name for name, used in states.items() if used == "true"), "none")
    fate = "left" if "rootless" in states else "never made"
    if "rootless" not in states and "rootless " in had.stdout:
        fate = "removed"
    decide("D13.uninstall_context", f"{current}, rootless {fate}",
           f"{had.transcript}\n{has.transcript}")  # fmt: skip
    decide("D13.uninstall_keeps", *left(guest, root, settings))

    result = engine.install(guest)
    found = docker("image", "inspect", "--format", "{{.Id}}", engine.IMAGE, check=False)
    same = "with the image of before" if found.stdout == image else "without the image of before"
    decide("D13.reinstall", f"{installing.outcome(guest, result)}, {same}",
           f"{result.transcript}\n{found.transcript}")  # fmt: skip


@pytest.mark.claims("D8.uninstall_blocked_keeps")
def test_uninstall_blocked(guest: Guest, decide: Decider) -> None:
    """A missing prerequisite keeps `uninstall` from taking anything away."""
    installing.hide(guest.root, "newuidmap")
    refused = setuptool.run(guest.user, "uninstall")
    state = guest.user.run("systemctl", "--user", "is-active", "docker.service", check=False)
    there, known = unit(guest), contexts(guest)
    kept = {
        "unit": there.ok,
        "context": "rootless " in known.stdout,
        "daemon": state.stdout.strip() == "active",
    }
    names = " ".join(name for name, still in kept.items() if still) or "nothing"
    decide("D8.uninstall_blocked_keeps", f"exit {refused.exit_status}, kept: {names}",
           "\n".join(one.transcript for one in (refused, state, there, known)))  # fmt: skip
