"""dockerd-rootless-setuptool.sh where two things are missing, and where iptables may be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.session import Session
from harness.rootless import engine, inducing, installing, setuptool
from harness.rootless.attempt import words_of_check
from harness.rootless.expectations import missing
from harness.rootless.inducers import CannotInduce
from harness.rootless.setuptool import ToolResult
from harness.rootless.traits import trait
from harness.session.decide import Decider

pytestmark = [pytest.mark.setuptool, pytest.mark.state("prepared")]

SOCKET = "/var/run/docker.sock"
ROOTFUL = f"rm -f {SOCKET} && : > {SOCKET} && chmod 666 {SOCKET}"  # the tool looks no further
CONTAINERD = "conflicts with containerd-rootless.sh"
DARWIN = "/var/tmp/darwin"  # the directory of a uname
UNIT = ".config/systemd/user/docker.service"


def check(guest: Guest, *options: str) -> ToolResult:
    return setuptool.run(guest.user, *options, "check", path=guest.facts.setuptool)


@contextlib.contextmanager
def without(guest: Guest, name: str) -> Iterator[None]:
    """The guest without one prerequisite, for a while."""
    about, value = missing.lack(guest.facts, name)
    before = trait(about).probe(guest.facts)
    inducing.find(about, value).act(guest, value)
    try:
        yield
    finally:
        inducing.find(about, before).act(guest, before)


def said_without(guest: Guest, *names: str) -> ToolResult:
    """`check` on the guest without these.  Raises CannotInduce where it cannot be without."""
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(without(guest, name))
        return check(guest)


@pytest.mark.claims(
    "D8.newuidmap+iptables", "D8.newuidmap+module", "D8.newuidmap+userns_clone",
    "D8.newuidmap+max_user_namespaces", "D8.newuidmap+subuid", "D8.newuidmap+subgid",
    "D8.iptables+module", "D8.iptables+userns_clone", "D8.iptables+max_user_namespaces",
    "D8.iptables+subuid", "D8.iptables+subgid", "D8.module+userns_clone",
    "D8.module+max_user_namespaces", "D8.module+subuid", "D8.module+subgid",
    "D8.userns_clone+max_user_namespaces", "D8.userns_clone+subuid", "D8.userns_clone+subgid",
    "D8.max_user_namespaces+subuid", "D8.max_user_namespaces+subgid", "D8.subuid+subgid",
    "D8.streams",
)  # fmt: skip
def test_pairs(guest: Guest, decide: Decider) -> None:
    """Whatever two prerequisites are missing, one answer names both of them."""
    said = [check(guest)]
    for first, second in missing.PAIRS:
        key = f"D8.{first}+{second}"
        try:
            said.append(said_without(guest, first, second))
        except CannotInduce as error:
            decide.not_applicable(key, error.what)
            continue
        decide(key, words_of_check(said[-1]), said[-1].transcript)
    evidence = "\n".join(result.transcript for result in (said[0], said[-1]))
    decide("D8.streams", setuptool.streams(*said), evidence)


def gravest(result: ToolResult) -> str:
    """What the tool says first, in the words of missing.GRAVEST and requirements.py, or
    missing.CONTAINERD."""
    error = installing.error_of(result)
    name = next((name for name, text in missing.GRAVEST.items() if text == error), "")
    if CONTAINERD in error:
        name = missing.CONTAINERD
    status = "" if result.exit_status == 1 else f", exit {result.exit_status}"
    return f"{name}{status}" if name else words_of_check(result)


@pytest.mark.claims("D8.order", "D8.streams")
def test_order(guest: Guest, decide: Decider) -> None:
    """Of all that is wrong the tool tells the gravest, until that is cured."""
    away = installing.without_runtime_directory(guest)
    homeless = ("env", "-u", "HOME", *away[1:])
    for name in ("newuidmap", "dockerd-rootless.sh"):
        installing.hide(guest.root, name)
    guest.root.sh(ROOTFUL)
    guest.root.sh('mkdir "$1"', DARWIN)
    guest.root.write(f"{DARWIN}/uname", "#!/bin/sh\necho Darwin\n", 0o755)
    containerd = f"{guest.facts.xdg_runtime_dir}/containerd-rootless"
    if guest.facts.xdg_runtime_dir:
        guest.user.run("mkdir", containerd)

    said = []

    def ask(session: Session, environment: tuple[str, ...]) -> None:
        told = session.run(*environment, guest.facts.setuptool, "check", check=False)
        said.append(setuptool.plain(told))

    path = installing.path_with(guest.root, DARWIN)["PATH"]
    ask(guest.root, (*homeless, f"PATH={path}"))
    ask(guest.root, homeless)
    ask(guest.user, homeless)
    installing.show(guest.root, "dockerd-rootless.sh")
    ask(guest.user, homeless)
    ask(guest.user, away)
    guest.root.run("rm", SOCKET)
    ask(guest.user, away)
    ask(guest.user, ("env",))
    if guest.facts.xdg_runtime_dir:
        guest.user.run("rmdir", containerd)
        ask(guest.user, ("env",))
    told = "; ".join(dict.fromkeys(gravest(result) for result in said))
    evidence = "\n".join(result.transcript for result in said)
    decide("D8.order", told, evidence)
    decide("D8.streams", setuptool.streams(*said), evidence)


def flag(guest: Guest) -> tuple[str, str]:
    """What the unit hands to the daemon about iptables, and the unit."""
    unit = guest.user.sh('cat "$HOME/$1"', UNIT, check=False)
    found = missing.FLAG in unit.stdout
    return (missing.FLAG if found else missing.NONE) if unit.ok else "no unit", unit.transcript


@pytest.mark.claims("D8.skip_iptables", "D8.skip_iptables_flag", "D8.skip_iptables_needless",
                    "D8.streams")  # fmt: skip
def test_skip_iptables(guest: Guest, decide: Decider) -> None:
    """Without iptables the tool can be told to go on: the daemon is then told to do without."""
    installing.hide(guest.root, "iptables")
    without = engine.install(guest, "--skip-iptables")
    seen, unit = flag(guest)
    log = engine.daemon_log(guest, 30)
    decide("D8.skip_iptables", installing.outcome(guest, without), f"{without.transcript}\n{log}")
    decide("D8.skip_iptables_flag", seen, unit)

    removed = setuptool.run(guest.user, "--skip-iptables", "uninstall")
    if removed.exit_status != 0:
        raise GuestRefusal("the setup tool does not uninstall", detail=removed.transcript)
    installing.show(guest.root, "iptables")
    needless = engine.install(guest, "--skip-iptables")
    seen, unit = flag(guest)
    decide("D8.skip_iptables_needless", seen, f"{needless.transcript}\n{unit}")
    decide("D8.streams", setuptool.streams(without, removed, needless), removed.transcript)
