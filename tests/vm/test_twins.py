"""Twins: without one of their documents' hints they fail as documented, and with it they work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from harness.distros import registry
from harness.distros.base import Distro, Hint
from harness.errors import TestbedError
from harness.guest.guest import Guest
from harness.matrix import Cell
from harness.rootless import attempt, ladder, twins
from harness.rootless.lab import Lab

pytestmark = [pytest.mark.nightly]


@dataclass(frozen=True)
class Withheld:
    """A hint of a twin, and what its absence comes to: the setup tool's word and the daemon's."""

    cell: str
    hint: str
    check: str
    start: str


WITHHELD = (
    # The daemon can have nf_tables loaded from inside its namespace; the tool asks all the same.
    Withheld("arch-rolling", "load-nf_tables", "missing: nf_tables", "starts"),
    Withheld("opensuse-leap-15.6", "iptables-modules", "missing: ip_tables", "fails: ip_tables"),
    Withheld("opensuse-tumbleweed", "iptables-modules", "missing: ip_tables", "fails: ip_tables"),
    Withheld("photon-4", "photon-subuid", "missing: subuid", "fails: subuid"),
    Withheld("photon-4", "photon-subgid", "missing: subgid", "fails: subgid"),
    Withheld("photon-4", "photon-userns-clone", "missing: userns_clone",
             "fails: operation not permitted"),
    Withheld("centos-7", "max-user-namespaces-19.03", "missing: max_user_namespaces",
             "fails: no space left on device"),
)  # fmt: skip


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
        done = guest.root.run("sh", "-c", command, check=False)
        assert done.ok, done.transcript


@pytest.mark.parametrize("case", WITHHELD, ids=lambda case: f"{case.cell}-{case.hint}")
def test_a_hint_cures_what_is_missed_without_it(
    booted: Callable[[str], tuple[Guest, Cell, Distro]], case: Withheld
) -> None:
    guest, cell, distro = booted(case.cell)
    others = tuple(hint for hint in distro.hints if hint.name != case.hint)
    ladder.climb(guest, cell, replace(distro, hints=others), "prepared", lambda _: None)
    guest.probe()
    checked, started = attempt.check(guest), attempt.begin(guest)
    assert (checked.outcome, started.outcome) == (case.check, case.start), (
        f"{checked.evidence}\n{started.evidence}"
    )
    apply(guest, distro.hint(case.hint))
    checked, started = attempt.check(guest), attempt.begin(guest)
    assert (checked.outcome, started.outcome) == ("satisfied", "starts"), (
        f"{checked.evidence}\n{started.evidence}"
    )


def test_nothing_is_installed_before_the_vault(
    booted: Callable[[str], tuple[Guest, Cell, Distro]]
) -> None:
    guest, cell, distro = booted("centos-7")
    with pytest.raises(TestbedError, match="mirrorlist"):
        ladder.climb(guest, cell, replace(distro, before=()), "prepared", lambda _: None)
    ladder.climb(guest, cell, distro, "prepared", lambda _: None)
    assert guest.probe().engine
