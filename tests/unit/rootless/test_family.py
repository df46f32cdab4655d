"""What decides for the other engines: packages, user namespaces, groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import pytest

from harness.errors import GuestRefusal, TestbedError
from harness.guest.facts import Facts
from harness.packages import PackageManager
from harness.rootless import family, system_containers
from harness.rootless.audit import AuditReport, AuditTest, Evidence
from harness.rootless.expectations import predict
from harness.rootless.expectations.examples import NOT_ROOTLESS, PACKAGES, ROOTLESS
from harness.rootless.looking import Look
from harness.rootless.traits import assume


def with_all(facts: Facts, key: str) -> Facts:
    return family.with_packages(facts, dict.fromkeys(PACKAGES[key], "1.0"))


@pytest.mark.parametrize("key", ROOTLESS)
def test_an_example(key: str, debian_12: Facts) -> None:
    assert not predict(key, debian_12).applies
    facts = with_all(debian_12, key)
    assert predict(key, facts).value == "rootless"
    member = replace(facts, groups=("tester", "docker"))
    assert predict(key, member).value == "not rootless"
    for change in (
        {"userns-clone": "0"},
        {"max-user-namespaces": "0"},
        {"subordinate-uids": "none"},
        {"newuidmap": "missing"},
    ):
        assert not predict(key, assume(facts, change)).applies, change


def test_an_example_needs_no_rootlesskit(debian_12: Facts) -> None:
    facts = assume(with_all(debian_12, "R8"), {"rootlesskit": "missing"})
    assert predict("R8", facts).value == "rootless"


@pytest.mark.parametrize("key", NOT_ROOTLESS)
def test_no_example(key: str, debian_12: Facts) -> None:
    assert not predict(key, debian_12).applies
    facts = assume(with_all(debian_12, key), {"userns-clone": "0"})
    assert predict(key, facts).value == "not rootless", "root needs no permission"


def test_buildkit_in_the_daemon_needs_buildx_from_23_on(debian_12: Facts, debian_13: Facts) -> None:
    assert predict("R9.embedded", debian_12).value == "rootless"
    assert not predict("R9.embedded", debian_13).applies
    plugged = family.with_packages(debian_13, {"docker-buildx": "0.13.1"})
    assert predict("R9.embedded", plugged).value == "rootless"


class Index:
    def __init__(self, *names: str) -> None:
        self.names = ("engine", *names)
        self.done: list[str] = []

    def refresh(self) -> str:
        self.done.append("refresh")
        return ""

    def versions(self, package: str) -> tuple[str, ...]:
        assert self.done, "asked before it was read anew"
        return ("2", "1") if package in self.names else ()

    def install(self, *packages: str) -> str:
        self.done.append(f"install {' '.join(packages)}")
        return ""

    def installed(self, package: str) -> str:
        return "2"


def provide(index: Index, *names: str, at_most: int | None = None) -> dict[str, str]:
    return family.provide(cast(PackageManager, index), names, "engine", at_most)


def test_only_what_is_offered_is_installed_in_the_order_asked_for() -> None:
    index = Index("a", "c", "d")
    assert provide(index, "d", "b", "a") == {"d": "2", "a": "2"}
    assert index.done == ["refresh", "install d a"]
    assert provide(Index("a", "c"), "c", "a", at_most=1) == {"c": "2"}


def test_nothing_offered_is_nothing_installed() -> None:
    index = Index()
    assert provide(index, "a") == {}
    assert index.done == ["refresh"]


def test_an_empty_index_says_nothing() -> None:
    index = Index("a")
    index.names = ()
    with pytest.raises(TestbedError, match="does not even have engine"):
        provide(index, "a")


def test_every_daemon_of_system_containers_is_asked_for() -> None:
    assert tuple(one.package for one in system_containers.DAEMONS) == PACKAGES["R18"]
    assert system_containers.daemon("incus").client == "incus"


def test_a_container_that_does_not_run_is_an_observation() -> None:
    def run() -> Look:
        raise GuestRefusal("the container does not run", detail="EPERM")

    observed, evidence = family.verdict(run)
    assert observed == "does not run"
    assert "EPERM" in evidence


@dataclass(frozen=True)
class Report:
    verdict: str
    remapped: bool

    def test(self, number: int) -> AuditTest:
        return AuditTest(number, "ids", self.remapped if number == 4 else False, "")


@pytest.mark.parametrize(
    ("verdict", "remapped", "answer"),
    [("not rootless", True, "not rootless"), ("rootless", True, "rootless"),
     ("not rootless", False, "nothing is remapped")],
)  # fmt: skip
def test_an_engine_that_ignores_that_ids_are_to_be_remapped(
    verdict: str, remapped: bool, answer: str
) -> None:
    seen = Look(cast(Evidence, None), cast(AuditReport, Report(verdict, remapped)))
    assert family.verdict(lambda: seen, family.of_remapped)[0] == answer
    assert family.verdict(lambda: seen)[0] == verdict
