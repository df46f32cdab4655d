from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import UsageError
from harness.guest.facts import Facts
from harness.rootless.expectations import RULES, observe, predict
from harness.rootless.expectations.model import Prediction
from harness.rootless.traits import TRAITS, trait

REQUIRED = """
P1 P2 P3 P4 P5 P6.accepted_65536 P6.check_65535 P6.high_id P7 P8 P9 P10 P11.without P11.cured
P12 P12.suite-layout-check P13 P14 P15.low_port P15.1023 P15.1024 P15.high_port P15.exit
P16.sysctl P16.capability P16.undone P17.memory P17.cpus P17.pids P17.memory_max P18
M1 M2 M3.newuidmap M3.newgidmap M3.start M4 M5 M6.without M6.cured M7.without M8 M9.without M10
M11 M12 M12.top M13 M14 M15 M16.sctp M17 M18 M19 M20 M21 M22 M22.wrong_path M23 M24 M25 M26 M27
M28 M29 M29.mtu M31.with_entry
D1 D2 D3 D4 D5 D6 D7 D8.newuidmap D9 D10 D11 D12 D13 D13.context D13.suite-layout-install D14
D15.with_linger D15.without D16 D17 D18 D19.seccomp D19.rootless D19.cgroupns D19.context
R1 R2 R3 R4 R5 R6 R7 R8 R9 R10 R11 R12 R13 R14 R15 R16 R17 R18 R19 R20
"""
MACHINES = (
    "debian_11", "debian_12", "debian_13", "debian_14", "photon_4", "centos_7", "suite_layout",
    "docker_19_03", "newest",
)  # fmt: skip


def test_every_required_key_has_a_rule() -> None:
    assert sorted(set(REQUIRED.split()) - set(RULES)) == []


@pytest.mark.parametrize("key", RULES)
def test_every_rule_says_what_to_observe_and_where_from(key: str) -> None:
    assert observe(key)
    assert RULES[key].source
    assert RULES[key].key == key


@pytest.mark.parametrize("machine", MACHINES)
def test_every_rule_answers_everywhere(machine: str, request: pytest.FixtureRequest) -> None:
    facts: Facts = request.getfixturevalue(machine)
    for key in RULES:
        found = predict(key, facts)
        assert found.because, key
        assert "\n" not in found.because, key
        assert (found.value is None) == (not found.applies), key


@pytest.mark.parametrize("name", TRAITS)
def test_every_rule_answers_whatever_a_trait_is(name: str, debian_12: Facts) -> None:
    for value in trait(name).values:
        facts = trait(name).assume(debian_12, value)
        for key in RULES:
            assert predict(key, facts).because, (key, value)


def test_an_unknown_key_names_its_neighbours(debian_12: Facts) -> None:
    with pytest.raises(UsageError, match=r"P16\.undone") as caught:
        predict("P16.sysctll", debian_12)
    assert "P16.sysctl" in str(caught.value)


def test_without_an_engine_most_claims_decide_nothing(debian_12: Facts) -> None:
    facts = trait("engine").assume(debian_12, "none")
    assert predict("M11", facts).because == "no engine is installed"
    assert not predict("P12", facts).applies
    assert predict("M4", facts).value == "uidmap"


@pytest.mark.parametrize(
    ("key", "package"),
    [("P4", "docker-rootless"), ("P5", "shadow"), ("M4", "uidmap"), ("M10", "shadow-utils"),
     ("D12", ""), ("D16", "docker-ce"), ("D13.suite-layout-install", ""),
     ("P12.suite-layout-check", "")],
)  # fmt: skip
def test_a_twins_packages_say_nothing_of_the_distros(
    debian_12: Facts, key: str, package: str
) -> None:
    own = replace(debian_12, packages={package: "24.0.9-1"})
    assert predict(key, own).applies
    twin = replace(own, os_release={**own.os_release, "VARIANT_ID": "twin"})
    assert predict(key, twin) == Prediction(
        None, "the packages are a twin's, not the distro's", applies=False
    )


INDUCED = (
    ("P16.sysctl", {"port-boundary": "80"}),
    ("P16.capability", {"rootlesskit-capabilities": "cap_net_bind_service"}),
    ("M3.newuidmap", {"newuidmap": "missing"}),
    ("M3.newgidmap", {"newgidmap": "missing"}),
    ("M3.start", {"newgidmap": "missing"}),
    ("M6.without", {"userns-clone": "0"}),
    ("M6.start", {"userns-clone": "0"}),
    ("M9.start", {"max-user-namespaces": "0"}),
    ("D8.iptables", {"iptables": "none"}),
    ("D8.module", {"ip_tables-module": "available"}),
    ("D8.subuid", {"subordinate-uids": "none"}),
    ("D10", {"rootful-socket": "writable"}),
)


@pytest.mark.parametrize(("key", "change"), INDUCED)
def test_an_induced_change_is_predicted_before_it_and_after(
    key: str, change: dict[str, str], debian_12: Facts
) -> None:
    facts = debian_12
    for name, value in change.items():
        facts = trait(name).assume(facts, value)
    assert predict(key, facts).value == predict(key, debian_12).value
