"""The declarations of bugs, and the order in which one is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.distros import registry
from harness.errors import GuestRefusal, UsageError
from harness.guest.facts import Facts
from harness.guest.guest import Guest
from harness.matrix import Cell
from harness.rootless.bugs import BUGS, Bug, expected, find, reproduce
from harness.rootless.bugs.documented import facts_of
from harness.rootless.bugs.layers import File, archive
from harness.rootless.bugs.model import CANNOT, NOT_REPRODUCED, REPRODUCED, Case
from harness.rootless.bugs.reproduce import AS_IS, CURED, INDUCED, WITHOUT, line_of
from harness.rootless.inducers import CannotInduce
from harness.rootless.ladder import STATES
from harness.rootless.traits import assume

CELL = Cell("debian", "12", "x86_64")


def test_every_reported_bug_is_declared_once() -> None:
    assert len(BUGS) == 22
    assert len({bug.url for bug in BUGS.values()}) == 22
    assert all(name == bug.name for name, bug in BUGS.items())


@pytest.mark.parametrize("bug", BUGS.values(), ids=lambda bug: bug.name)
def test_declarations(bug: Bug) -> None:
    number = bug.tracker.split()[-1]
    assert re.fullmatch(rf"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/{number}", bug.url)
    assert bug.state in STATES
    for text in (bug.summary, bug.cause, bug.trait, bug.seen_on):
        assert text.strip() == text != ""
    assert re.compile(bug.symptom)
    assert re.compile(bug.healthy)
    assert (bug.cure is None) or bug.cured_by
    assert not re.search(bug.symptom, bug.healthy)


def test_an_unknown_name_is_told_the_nearest_or_all() -> None:
    with pytest.raises(UsageError, match="the nearest: overlay-whiteouts"):
        find("overlay-whiteout")
    with pytest.raises(UsageError, match=r"known bugs: .*tun-gone"):
        find("zzz")


@pytest.mark.parametrize(
    ("name", "values", "verdict"),
    [
        ("overlay-whiteouts", {"kernel": "5.10"}, REPRODUCED),
        ("overlay-whiteouts", {"kernel": "5.11"}, NOT_REPRODUCED),
        ("overlay2-refused", {"overlay-in-userns": "no"}, REPRODUCED),
        ("overlay2-refused", {}, NOT_REPRODUCED),
        ("apparmor-userns", {"kernel": "6.12"}, REPRODUCED),
        ("apparmor-userns", {}, CANNOT),
        ("apparmor-userns", {"kernel": "6.12", "mandatory-access": "selinux"}, CANNOT),
        ("hidepid", {}, REPRODUCED),
        ("hidepid", {"cgroup": "hybrid"}, CANNOT),
        ("cpu-not-delegated", {}, REPRODUCED),
        ("cpu-not-delegated", {"cgroup": "v1"}, CANNOT),
        ("cpu-not-delegated", {"user-session": "no"}, CANNOT),
        ("docker-proxy-missing", {"engine": "27.5.1"}, REPRODUCED),
        ("docker-proxy-missing", {"engine": "28.0.0"}, NOT_REPRODUCED),
        ("ip_tables-blocked", {"engine": "28.0.4"}, REPRODUCED),
        ("ip_tables-blocked", {"engine": "28.1.0"}, NOT_REPRODUCED),
        ("ip_tables-gone", {"engine": "26.1.5"}, REPRODUCED),
        ("ip_tables-gone", {"engine": "28.1.0"}, NOT_REPRODUCED),
        ("ip_tables-gone", {"iptables": "legacy"}, CANNOT),
        ("no-ipv6", {"engine": "29.0.0"}, REPRODUCED),
        ("no-ipv6", {"engine": "28.5.2"}, NOT_REPRODUCED),
        ("containerd-rootless", {"engine": "29.4.0"}, REPRODUCED),
        ("containerd-rootless", {"engine": "29.3.0"}, NOT_REPRODUCED),
        ("containerd-rootless", {"setup-tool": "missing"}, CANNOT),
        ("slirp4netns-old", {}, REPRODUCED),
        ("slirp4netns-old", {"slirp4netns": "missing"}, CANNOT),
        ("user-not-local", {"rootlesskit-version": "0.2.1"}, REPRODUCED),
        ("user-not-local", {}, NOT_REPRODUCED),
        ("subuid-twice", {}, REPRODUCED),
        ("subuid-twice", {"subordinate-uids": "none"}, CANNOT),
        ("subuid-twice", {"rootlesskit-version": "1.1.1"}, NOT_REPRODUCED),
        ("tool-beside-itself", {}, REPRODUCED),
        ("tool-beside-itself", {"setup-tool": "missing"}, CANNOT),
        ("no-user-manager", {"systemd": "none"}, CANNOT),
    ],
)
def test_facts_decide(
    debian_12: Facts, name: str, values: dict[str, str], verdict: str
) -> None:
    facts = assume(replace(debian_12, setuptool_sha256=""), values)
    assert expected(find(name), facts)[0] == verdict


def test_a_guest_may_have_the_trait_by_itself(debian_11: Facts, debian_12: Facts) -> None:
    bug = find("cpu-not-delegated")
    assert "memory pids" in bug.native(debian_11)
    assert bug.native(debian_12) == ""


@pytest.mark.parametrize("distro", registry.all_distros(), ids=lambda d: d.id)
def test_every_distro_has_a_forecast(distro: Any) -> None:
    facts = facts_of(Cell(distro.name, distro.release, "x86_64"), distro)
    for bug in BUGS.values():
        verdict, reason = expected(bug, facts)
        assert verdict == REPRODUCED or reason


@dataclass
class Machine:
    """A guest as far as the order of steps can tell: it remembers what was done to it."""

    facts: Facts
    cell: str = CELL.id
    done: list[str] = field(default_factory=list)


@dataclass
class Stage:
    """Guests without machines, and a bug whose symptom follows ``sick``."""

    facts: Facts
    sick: Callable[[list[str]], bool] = lambda done: done[-1:] == ["induced"]
    given: list[Machine] = field(default_factory=list)

    def new_guest(self, state: str) -> Guest:
        self.given.append(Machine(self.facts))
        return cast(Guest, self.given[-1])

    def act(self, name: str) -> Callable[[Any], str]:
        def act(case: Any) -> str:
            case.guest.done.append(name)
            return f"did {name}"

        return act

    def attempt(self, case: Any) -> str:
        return "first\nit is sick now\nlast" if self.sick(case.guest.done) else "well"

    def bug(self, **changes: Any) -> Bug:
        bug = Bug(
            name="a", tracker="t 1", url="", seen_on="", summary="", cause="", trait="",
            attempt=self.attempt, symptom="sick", healthy="^well$", induce=self.act("induced"),
            cure=self.act("cured"),
        )  # fmt: skip
        return replace(bug, **changes)


def names(report: Any) -> list[str]:
    return [step.name for step in report.steps]


def test_shown_without_with_and_cured(debian_12: Facts) -> None:
    stage = Stage(debian_12)
    report = reproduce(stage.bug(), CELL, stage.new_guest)
    assert (report.verdict, report.as_expected) == (REPRODUCED, True)
    assert names(report) == [WITHOUT, INDUCED, CURED]
    assert [machine.done for machine in stage.given] == [[], ["induced", "cured"]]
    assert report.symptom == "it is sick now"


def test_what_shows_anyway_is_not_reproduced(debian_12: Facts) -> None:
    stage = Stage(debian_12, lambda done: True)
    report = reproduce(stage.bug(), CELL, stage.new_guest)
    assert (report.verdict, report.as_expected) == (NOT_REPRODUCED, False)
    assert names(report) == [WITHOUT]


def test_a_cure_that_does_not_cure_is_told(debian_12: Facts) -> None:
    stage = Stage(debian_12, lambda done: "induced" in done)
    report = reproduce(stage.bug(), CELL, stage.new_guest)
    assert report.verdict == NOT_REPRODUCED
    assert "outlives the cure" in report.reason


def test_failing_otherwise_is_no_absence(debian_12: Facts) -> None:
    stage = Stage(debian_12)
    bug = stage.bug(attempt=lambda case: "another trouble", fixed=lambda facts: "it is new")
    report = reproduce(bug, CELL, stage.new_guest)
    assert (report.verdict, report.as_expected) == (NOT_REPRODUCED, False)
    assert "another trouble" in report.reason


def test_where_it_is_fixed_the_trait_is_tried_all_the_same(debian_12: Facts) -> None:
    stage = Stage(debian_12, lambda done: False)
    report = reproduce(stage.bug(fixed=lambda facts: "it is new"), CELL, stage.new_guest)
    assert (report.verdict, report.as_expected) == (NOT_REPRODUCED, True)
    assert (names(report), report.reason) == ([INDUCED], "it is new")


def test_a_bug_that_should_be_fixed_and_shows(debian_12: Facts) -> None:
    stage = Stage(debian_12)
    report = reproduce(stage.bug(fixed=lambda facts: "it is new"), CELL, stage.new_guest)
    assert (report.verdict, report.as_expected) == (REPRODUCED, False)


def test_nothing_is_induced_where_the_guest_has_it(debian_12: Facts) -> None:
    stage = Stage(debian_12, lambda done: "cured" not in done)
    report = reproduce(stage.bug(native=lambda facts: "old"), CELL, stage.new_guest)
    assert (report.verdict, names(report)) == (REPRODUCED, [AS_IS, CURED])
    assert stage.given[0].done == ["cured"]


@pytest.mark.parametrize(
    ("error", "verdict"), [(CannotInduce("no such knob"), CANNOT),
                           (GuestRefusal("it would not"), NOT_REPRODUCED)],
)  # fmt: skip
def test_what_the_guest_says_of_inducing(
    debian_12: Facts, error: GuestRefusal, verdict: str
) -> None:
    def induce(case: Any) -> str:
        raise error

    stage = Stage(debian_12)
    report = reproduce(stage.bug(induce=induce), CELL, stage.new_guest)
    assert report.verdict == verdict
    assert error.what in report.reason


def test_a_state_that_cannot_be_reached(debian_12: Facts) -> None:
    def refuse(state: str) -> Guest:
        raise GuestRefusal("state daemon cannot be reached")

    report = reproduce(Stage(debian_12).bug(), CELL, refuse)
    assert (report.verdict, report.steps) == (CANNOT, ())


def test_docker_is_missed_beside_the_tool_only() -> None:
    symptom = find("tool-beside-itself").symptom
    directory = "/usr/share/docker.io/contrib"
    said = f"{directory}/dockerd-rootless-setuptool.sh: 337: {directory}/docker: not found"
    assert re.search(symptom, said)
    assert not re.search(symptom, "sh: 1: /usr/bin/docker: not found")


def test_the_line_of_a_symptom() -> None:
    assert line_of("b+", "aaa\n a bbb c \nccc") == "a bbb c"
    assert line_of("^ccc$", "aaa\nccc") == "ccc"
    assert line_of("d", "aaa\nccc") == ""


def test_archives_are_the_same_each_time_but_for_what_is_in_them() -> None:
    one = archive("x", "x86_64", [[File("d/"), File("d/f", 7)]])
    assert one == archive("x", "x86_64", [[File("d/"), File("d/f", 7)]])
    assert one != archive("x", "x86_64", [[File("d/"), File("d/f", 8)]])


def test_a_remedy_is_for_the_guest_s_own_user() -> None:
    guest = SimpleNamespace(
        access=SimpleNamespace(user="tester"),
        root=SimpleNamespace(run=lambda *argv, check: SimpleNamespace(transcript=argv[-1])),
    )
    photon = registry.of(Cell("photon", "4", "x86_64"))
    told = Case(cast(Guest, guest), photon).remedy("subordinate-uids")
    assert told == 'echo "tester:100000:65536" >> /etc/subuid'
