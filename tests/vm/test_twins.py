"""Twins: without one of their documents' hints they fail as documented, and with it they work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from harness.distros import registry
from harness.distros.base import Distro, Hint
from harness.errors import TestbedError
from harness.guest.guest import Guest
from harness.matrix import Cell
from harness.packages import manager
from harness.rootless import attempt, engine, ladder, twins
from harness.rootless.expectations import requirements, start
from harness.rootless.lab import Lab
from harness.rootless.traits import trait

pytestmark = [pytest.mark.nightly]
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cure:
    """A hint, and what the setup tool and the daemon say before it is applied."""

    hint: str
    check: str
    start: str


# All hints of a twin are withheld at first, and then given in this order.
CURES = {
    # The daemon can have nf_tables loaded from inside its namespace; the tool asks all the same.
    "arch-rolling": (Cure("load-nf_tables", "missing: nf_tables", "starts"),),
    "opensuse-leap-15.6": (Cure("iptables-modules", "missing: ip_tables", "fails: ip_tables"),),
    "opensuse-tumbleweed": (Cure("iptables-modules", "missing: ip_tables", "fails: ip_tables"),),
    "photon-4": (
        Cure("photon-userns-clone", "missing: userns_clone, subuid, subgid",
             "fails: operation not permitted"),
        Cure("photon-subuid", "missing: subuid, subgid", "fails: subuid"),
        Cure("photon-subgid", "missing: subgid", "fails: subgid"),
    ),
    "centos-7": (
        Cure("max-user-namespaces-19.03", "missing: max_user_namespaces",
             "fails: no space left on device"),
    ),
}  # fmt: skip


@pytest.fixture
def booted(own_lab: Lab) -> Callable[[str], tuple[Guest, Cell, Distro]]:
    """The twin of that name as it boots, with nothing of the documents done to it."""

    def give(name: str) -> tuple[Guest, Cell, Distro]:
        distro_name, _, release = name.partition("-")
        cell = Cell(distro_name, release, "x86_64", twin=True)
        distro = registry.of(cell)
        standing = twins.standing(cell, distro)
        if standing.state != "ready":
            pytest.skip(standing.reason)
        return own_lab.guest(cell, distro, "booted"), cell, distro

    return give


def apply(guest: Guest, hint: Hint) -> None:
    for command in hint.commands_for(guest.access.user):
        done = guest.root.run("sh", "-c", command, input="y\n", check=False)
        assert done.ok, done.transcript


def without(distro: Distro, cures: tuple[Cure, ...]) -> Distro:
    return distro.without([cure.hint for cure in cures])


def cured_one_by_one(guest: Guest, distro: Distro, cures: tuple[Cure, ...]) -> None:
    """Fail as documented before each hint; work once all of them are applied."""
    for cure in cures:
        expect(guest, cure.check, cure.start, f"without {cure.hint}")
        apply(guest, distro.hint(cure.hint))
    expect(guest, "satisfied", "starts", "with every hint")


def expect(guest: Guest, check: str, start: str, when: str) -> None:
    guest.probe()
    checked, started = attempt.check(guest), attempt.begin(guest)
    evidence = f"{guest.cell} {when}:\n{checked.evidence}\n{started.evidence}"
    LOG.info("%s", evidence)  # -o log_cli=true --log-cli-level=INFO shows it as it comes
    assert (checked.outcome, started.outcome) == (check, start), evidence


@pytest.mark.parametrize("name", [name for name in CURES if name != "centos-7"])
def test_the_hints_cure_what_is_missed_without_them(
    booted: Callable[[str], tuple[Guest, Cell, Distro]], name: str
) -> None:
    guest, cell, distro = booted(name)
    ladder.climb(guest, cell, without(distro, CURES[name]), "prepared", lambda _: None)
    cured_one_by_one(guest, distro, CURES[name])


# Each hint alone.  Without the vault nothing is installed, of which there is a test of its own.
HINTS = [
    (distro.id, hint.name) for distro in registry.all_distros() if distro.twin is not None
    for hint in (*distro.before, *distro.hints) if hint.trait != "engine"
]  # fmt: skip


@pytest.mark.parametrize(("name", "withheld"), HINTS)
def test_without_one_hint_the_rules_are_right(
    booted: Callable[[str], tuple[Guest, Cell, Distro]], name: str, withheld: str
) -> None:
    """What the facts predict is what the setup tool and the daemon do, without the hint and after
    it; and with it the trait that it is for is as documented."""
    guest, cell, distro = booted(name)
    ladder.climb(guest, cell, distro.without([withheld]), "prepared", lambda _: None)
    expect_predicted(guest, f"without {withheld}")
    apply(guest, hint := distro.hint(withheld))
    expect_predicted(guest, f"with {withheld}")
    now = trait(hint.trait).probe(guest.facts)
    assert now == distro.traits.get(hint.trait, now), f"{guest.cell}: {hint.trait} is {now}"


def expect_predicted(guest: Guest, when: str) -> None:
    facts = guest.probe()
    expect(guest, requirements.check(facts), start.start(facts), when)


# The documents' own lines, each for a manager that is not the base's.
LINES = {
    "arch-rolling": ("arch-fuse-overlayfs", ("fuse-overlayfs",)),
    "opensuse-leap-15.6": ("opensuse-fuse-overlayfs", ("fuse-overlayfs",)),
    "opensuse-tumbleweed": ("opensuse-fuse-overlayfs", ("fuse-overlayfs",)),
    "photon-4": ("photon-packages", ("shadow", "fuse", "slirp4netns", "libslirp")),
}


@pytest.mark.parametrize("name", LINES)
def test_the_documents_line_installs(
    booted: Callable[[str], tuple[Guest, Cell, Distro]], name: str
) -> None:
    guest, _, distro = booted(name)
    hint, packages = LINES[name]
    theirs = manager(distro.package_manager, guest.root)
    assert not theirs.installed(packages[-1])
    apply(guest, distro.hint(hint))
    assert all(map(theirs.installed, packages))


def test_nothing_is_installed_before_the_vault(
    booted: Callable[[str], tuple[Guest, Cell, Distro]]
) -> None:
    guest, cell, distro = booted("centos-7")
    cures = CURES["centos-7"]
    withheld = without(distro, cures)
    with pytest.raises(TestbedError, match="mirrorlist") as refused:
        ladder.climb(guest, cell, replace(withheld, before=()), "prepared", lambda _: None)
    LOG.info("%s\n%s", refused.value.what, refused.value.detail)
    ladder.climb(guest, cell, withheld, "prepared", lambda _: None)
    assert guest.probe().engine
    cured_one_by_one(guest, distro, cures)


# What the manual's script puts into the home of those who have no packages.
IN_HOME = """
mkdir -p "$HOME/bin"
for name in docker rootlesskit dockerd-rootless.sh dockerd-rootless-setuptool.sh; do
    cp "$(command -v "$name")" "$HOME/bin/"
done
"""
# With the PATH that the script tells its user to have.
INSTALL = 'PATH="$HOME/bin:$PATH" dockerd-rootless-setuptool.sh install'


def test_a_rootlesskit_in_the_home_needs_the_profile(
    booted: Callable[[str], tuple[Guest, Cell, Distro]]
) -> None:
    guest, cell, distro = booted("ubuntu-24.04")
    ladder.climb(guest, cell, distro, "prepared", lambda _: None)
    guest.probe()
    assert attempt.check(guest).outcome == "satisfied"  # of the packages, which has a profile

    guest.user.sh(IN_HOME)
    refused = guest.user.sh(INSTALL, check=False, timeout=engine.START_SECONDS)
    LOG.info("%s", refused.transcript)
    assert not refused.ok, refused.transcript
    assert "fork/exec /proc/self/exe: permission denied" in refused.stderr, refused.transcript

    apply(guest, distro.hint("apparmor-rootlesskit"))
    installed = guest.user.sh(INSTALL, check=False, timeout=engine.START_SECONDS)
    LOG.info("%s", installed.transcript)
    assert installed.ok, installed.transcript
    engine.wait_for_daemon(guest, unit=True)
    guest.root.run("loginctl", "enable-linger", guest.access.user)
    guest.reboot()
    guest.probe()
    engine.wait_for_daemon(guest, unit=True)
    unit = guest.user.run("systemctl", "--user", "cat", "docker.service").stdout
    assert f"/home/{guest.access.user}/bin/dockerd-rootless.sh" in unit
