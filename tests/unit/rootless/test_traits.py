from __future__ import annotations

from dataclasses import replace

import pytest

from harness.distros.registry import find
from harness.errors import UsageError
from harness.guest.facts import Facts
from harness.rootless.expectations import predict
from harness.rootless.expectations.derive import declared
from harness.rootless.expectations.start import start
from harness.rootless.traits import TRAITS, as_documented, assume, drifted, trait

MACHINES = ("debian_12", "debian_11", "photon_4", "centos_7", "suite_layout", "docker_19_03")


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Facts:
    facts: Facts = request.getfixturevalue(request.param)
    return facts


@pytest.mark.parametrize("name", TRAITS)
def test_assuming_what_was_probed_changes_nothing(name: str, machine: Facts) -> None:
    it = trait(name)
    assert it.assume(machine, it.probe(machine)) is machine


@pytest.mark.parametrize(
    ("name", "value"), [(t.name, value) for t in TRAITS.values() for value in t.values]
)
def test_what_was_assumed_is_probed(name: str, value: str, machine: Facts) -> None:
    assert trait(name).probe(trait(name).assume(machine, value)) == value


@pytest.mark.parametrize(
    ("name", "value"), [(t.name, value) for t in TRAITS.values() for value in t.values]
)
def test_assuming_changes_no_unrelated_trait(name: str, value: str, debian_12: Facts) -> None:
    related = {
        "cgroup": {"delegated-controllers", "slice-controllers"},
        "slice-controllers": {"delegated-controllers"},
        "rootlesskit": {"rootlesskit-capabilities"},
        "privileged-binaries": {"rootlesskit"},
        "tun": {"tun-module"},
        "tun-module": {"tun"},
    }
    changed = trait(name).assume(debian_12, value)
    drifts = drifted(changed, {other: trait(other).probe(debian_12) for other in TRAITS})
    assert {drift.name for drift in drifts} <= {name, *related.get(name, ())}


@pytest.mark.parametrize("name", [t.name for t in TRAITS.values() if not t.open])
def test_impossible_values_are_refused(name: str, debian_12: Facts) -> None:
    with pytest.raises(UsageError, match=name):
        trait(name).assume(debian_12, "nonsense")


@pytest.mark.parametrize("name", ["subordinate-uids", "subordinate-gids", "systemd"])
def test_numbers_must_be_numbers(name: str, debian_12: Facts) -> None:
    with pytest.raises(UsageError, match=name):
        trait(name).assume(debian_12, "many")


def test_unknown_traits_are_refused(debian_12: Facts) -> None:
    for attempt in (drifted, as_documented, assume):
        with pytest.raises(UsageError, match="port-boundry"):
            attempt(debian_12, {"port-boundry": "1024"})


def test_debian_12_has_not_drifted(debian_12: Facts) -> None:
    assert drifted(debian_12, find("debian", "12").traits) == []


@pytest.mark.parametrize("distro", ["debian-11", "debian-13", "photon-4", "centos-7"])
def test_every_documented_trait_can_be_put_back(distro: str, debian_12: Facts) -> None:
    documented = find(*distro.split("-")).traits
    assert drifted(debian_12, documented)
    assert drifted(as_documented(debian_12, documented), documented) == []


def test_the_port_boundary_drifts(debian_12: Facts) -> None:
    documented = find("debian", "12").traits
    changed = replace(
        debian_12,
        sysctls={**debian_12.sysctls, "net.ipv4.ip_unprivileged_port_start": "80"},
    )
    assert [str(d) for d in drifted(changed, documented)] == [
        "port-boundary: documented 1024, probed 80"
    ]
    assert as_documented(changed, documented) == debian_12


@pytest.mark.parametrize("text", ["cap_net_bind_service=ep", "cap_net_bind_service+ep"])
def test_a_capability_on_rootlesskit_drifts(text: str, debian_12: Facts) -> None:
    documented = find("debian", "12").traits
    binary = debian_12.binary("rootlesskit")
    assert binary
    changed = replace(
        debian_12,
        binaries={**debian_12.binaries, "rootlesskit": replace(binary, capabilities=text)},
    )
    (drift,) = drifted(changed, documented)
    assert (drift.name, drift.probed) == ("rootlesskit-capabilities", "cap_net_bind_service")
    assert as_documented(changed, documented) == debian_12


def test_a_setuid_engine_binary_drifts(debian_12: Facts) -> None:
    changed = assume(debian_12, {"privileged-binaries": "dockerd runc"})
    (drift,) = drifted(changed, find("debian", "12").traits)
    assert (drift.name, drift.documented, drift.probed) == (
        "privileged-binaries", "none", "dockerd runc",
    )  # fmt: skip


def test_programs_that_others_may_change_drift(debian_12: Facts) -> None:
    documented = find("debian", "12").traits
    changed = assume(debian_12, {"writable-binaries": "dockerd dockerd-rootless.sh"})
    (drift,) = drifted(changed, documented)
    assert (drift.name, drift.probed) == ("writable-binaries", "dockerd dockerd-rootless.sh")
    assert drifted(as_documented(changed, documented), documented) == []


def test_programs_of_another_than_root_drift(debian_12: Facts) -> None:
    documented = find("debian", "12").traits
    binary = debian_12.binary("runc")
    assert binary
    own = {**debian_12.binaries, "runc": replace(binary, owner=1000)}
    changed = replace(debian_12, binaries=own)
    assert [str(drift) for drift in drifted(changed, documented)] == [
        "writable-binaries: documented none, probed runc"
    ]
    assert drifted(as_documented(changed, documented), documented) == []


def test_the_setup_tool_of_another_release_drifts(debian_12: Facts) -> None:
    newer = assume(debian_12, {"setup-tool-version": "26.1.5"})
    (drift,) = drifted(newer, find("debian", "12").traits)
    assert str(drift) == "setup-tool-version: documented 20.10.24, probed 26.1.5"
    assert predict("P8.commands", newer) != predict("P8.commands", debian_12)


def test_a_setup_tool_that_was_changed_is_still_the_engines(debian_12: Facts) -> None:
    changed = replace(debian_12, setuptool_sha256="0" * 64)
    assert drifted(changed, find("debian", "12").traits) == []


def test_helpers_that_no_package_brought_drift(debian_12: Facts) -> None:
    documented = find("debian", "12").traits
    copied = assume(debian_12, {"helpers-package": "none"})
    copied = replace(copied, packages={k: v for k, v in copied.packages.items() if k != "uidmap"})
    assert [d.name for d in drifted(copied, documented)] == ["helpers-package"]
    assert not predict("M4", copied).applies
    assert predict("M4", as_documented(copied, documented)).value == "uidmap"


def test_a_machine_without_ipv6_drifts(debian_12: Facts) -> None:
    without = replace(debian_12, ipv6=False)
    assert [d.name for d in drifted(without, find("debian", "12").traits)] == ["ipv6"]
    assert not predict("P15.tcp6", without).applies


@pytest.mark.parametrize("directories", [(), ("overlay2",)])
def test_the_data_root_has_the_data_of_its_own_daemon(
    directories: tuple[str, ...], debian_12: Facts
) -> None:
    facts = replace(debian_12, existing_driver_dirs=directories)
    assert drifted(facts, declared(facts, find("debian", "12").traits)) == []


@pytest.mark.parametrize("left", [("fuse-overlayfs",), ("fuse-overlayfs", "overlay2")])
def test_what_another_daemon_left_in_the_data_root_drifts(
    left: tuple[str, ...], debian_12: Facts
) -> None:
    facts = replace(debian_12, existing_driver_dirs=left)
    documented = declared(facts, find("debian", "12").traits)
    (drift,) = drifted(facts, documented)
    assert (drift.name, drift.documented) == ("driver-directories", "overlay2")
    before = as_documented(facts, documented)
    assert (predict("M11", before).value, start(before)) == ("overlay2", "starts")


def test_an_older_kernels_daemon_leaves_other_data(debian_11: Facts) -> None:
    facts = replace(debian_11, existing_driver_dirs=("fuse-overlayfs",))
    assert drifted(facts, declared(facts, find("debian", "11").traits)) == []


def test_a_kernel_that_mounts_overlays_after_the_daemon_was_there(debian_11: Facts) -> None:
    """The data root is still of what was documented."""
    facts = replace(debian_11, existing_driver_dirs=("fuse-overlayfs",), overlay_in_userns=True)
    documented = declared(facts, find("debian", "11").traits)
    assert [d.name for d in drifted(facts, documented)] == ["overlay-in-userns"]


def test_ping_is_closed_unless_a_package_opens_it(debian_13: Facts) -> None:
    documented = find("debian", "13").traits
    opened = assume(debian_13, {"ping-group-range": "0 2147483647"})
    assert [d.name for d in drifted(opened, declared(opened, documented))] == ["ping-group-range"]
    by_package = replace(opened, packages={"linux-sysctl-defaults": "4.12"})
    assert drifted(by_package, declared(by_package, documented)) == []


def test_a_helper_with_the_wrong_capability_is_powerless(debian_12: Facts) -> None:
    binary = debian_12.binary("newuidmap")
    assert binary
    wrong = replace(binary, mode=0o755, capabilities="cap_setgid=ep")
    facts = replace(debian_12, binaries={**debian_12.binaries, "newuidmap": wrong})
    assert trait("newuidmap").probe(facts) == "powerless"


@pytest.mark.parametrize(
    ("mode", "held", "power"),
    [
        (0o4755, "", "setuid root"),
        (0o4755, "cap_sys_admin=ep", "more than it needs"),
        (0o755, "cap_setuid=ep", "file capabilities"),
        (0o755, "cap_setuid,cap_sys_admin=ep", "more than it needs"),
        (0o755, "cap_sys_admin=ep", "powerless"),
        (0o6755, "", "more than it needs"),
        (0o4777, "", "more than it needs"),
        (0o775, "cap_setuid=ep", "more than it needs"),
    ],
)
def test_a_helper_has_what_it_needs_and_no_more(
    mode: int, held: str, power: str, debian_12: Facts
) -> None:
    binary = debian_12.binary("newuidmap")
    assert binary
    other = replace(binary, mode=mode, capabilities=held)
    facts = replace(debian_12, binaries={**debian_12.binaries, "newuidmap": other})
    assert trait("newuidmap").probe(facts) == power


def test_a_blocked_tun_drifts_and_a_missing_one_does_not(debian_12: Facts) -> None:
    documented = find("debian", "12").traits
    away = replace(debian_12, modules=debian_12.modules - {"tun"})
    assert drifted(away, documented) == []
    blocked = replace(away, modules_blocked=frozenset({"tun"}))
    assert [drift.name for drift in drifted(blocked, documented)] == ["tun"]


def test_any_setting_of_the_daemon_drifts(debian_12: Facts) -> None:
    documented = find("debian", "12").traits
    facts = replace(debian_12, daemon_json={"data-root": "/srv", "storage-driver": "vfs"})
    assert {drift.name: drift.probed for drift in drifted(facts, documented)} == {
        "storage-driver-setting": "vfs", "daemon-settings": "data-root",
    }  # fmt: skip
    assert as_documented(facts, documented).daemon_json == {}


def test_two_ranges_count_together(debian_12: Facts) -> None:
    facts = replace(debian_12, subuid=debian_12.subuid * 2)
    assert trait("subordinate-uids").probe(facts) == "131072"


def test_controllers_that_limit_nothing_are_left_out(debian_12: Facts) -> None:
    facts = replace(debian_12, delegated=("pids", "misc", "memory", "cpu", "hugetlb"))
    assert trait("delegated-controllers").probe(facts) == "cpu memory pids"
