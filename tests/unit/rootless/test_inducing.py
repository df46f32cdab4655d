"""Inducing traits, as far as no guest is needed; the guests are in tests/vm."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.rootless.inducers import INDUCERS
from harness.rootless.inducing import find
from harness.rootless.traits import TRAITS, trait
from harness.session.options import parse_induced


def test_what_can_be_induced_is_a_trait_that_can_have_the_value() -> None:
    for name, inducer in INDUCERS.items():
        one = trait(name)
        if not one.open:
            assert set(inducer.values) <= set(one.values), name


def test_every_trait_of_a_distro_that_is_not_its_build_can_be_induced() -> None:
    built_from = {
        "kernel", "systemd", "engine", "rootlesskit-version", "mandatory-access",
        "storage-driver-setting", "cgroup-driver-setting", "driver-directories",
        "privileged-binaries", "runtime-directory", "rootful-socket", "daemon-settings",
        "tun",  # by tun-module
        "helpers-package", "ipv6", "setup-tool-version", "writable-binaries",
    }  # fmt: skip
    assert set(TRAITS) - set(INDUCERS) == built_from


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("userns-clone=0", "is not STATE:TRAIT=VALUE"),
        ("prepared:userns-clone", "is not STATE:TRAIT=VALUE"),
        ("prepared:=0", "is not STATE:TRAIT=VALUE"),
        ("cooked:userns-clone=0", "no state 'cooked'"),
        ("prepared:colour=red", "there is no trait 'colour'"),
        ("prepared:kernel=5.10", "trait kernel cannot be induced"),
        ("prepared:newuidmap=shiny", "cannot be given the value 'shiny'"),
        ("prepared:subordinate-uids=abc", "'abc'; it can be given: none, a number"),
        ("prepared:subordinate-gids=-1", "'-1'; it can be given: none, a number"),
        ("prepared:port-boundary=absent", "'absent'; it can be given: a number"),
        ("prepared:ping-group-range=1", "'1'; it can be given: two numbers"),
    ],
)
def test_bad_input_is_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match="^[^\n]*" + said):
        parse_induced([text])


def test_the_order_is_kept() -> None:
    texts = ["prepared:iptables=legacy", "daemon:linger=yes", "prepared:ip_tables-module=blocked"]
    assert parse_induced(texts) == {
        "prepared": (("iptables", "legacy"), ("ip_tables-module", "blocked")),
        "daemon": (("linger", "yes"),),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("subordinate-uids", "none"), ("subordinate-uids", "65536"), ("port-boundary", "80"),
     ("ping-group-range", "0 2147483647"), ("user-groups", "docker sudo")],
)  # fmt: skip
def test_what_is_no_switch_takes_what_its_trait_can_be(name: str, value: str) -> None:
    assert find(name, value)


@pytest.mark.parametrize("name", ["userns-clone", "max-user-namespaces", "apparmor-userns"])
def test_a_switch_has_no_third_position(name: str) -> None:
    with pytest.raises(UsageError, match=f"trait {name} cannot be given the value '7'; it can"):
        find(name, "7")
