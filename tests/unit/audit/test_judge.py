"""The judge on evidence recorded on a real Debian 12 guest, and the mutants it must not be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import TestbedError
from harness.rootless.audit import Evidence, audit
from harness.rootless.audit.judge import NET_BIND_SERVICE, gains_privilege
from harness.rootless.audit.model import Executable, Execution
from harness.rootless.looking import Look

DATA = Path(__file__).parent / "data"
RECORDED = {
    # name: (verdict, the tests that fail, the tests that decide nothing)
    "rootless": ("rootless", (), ()),
    "rootless-net-bind": ("rootless", (), ()),
    "docker-group": ("not rootless", (1, 2, 4, 6), (3,)),
    "run-user": ("not rootless", (1, 2, 4, 6), (3,)),
    "userns-remap": ("not rootless", (1, 2, 3, 6), ()),
    "podman": ("rootless", (), ()),
    "buildah": ("rootless", (), ()),
    "podman-uidmap": ("not rootless", (1, 2, 3), ()),
    "lxd": ("not rootless", (1, 2, 3), ()),
    "setuid-runtime": ("not rootless", (1, 2, 4, 5), (3,)),
}
REMAPPED = ("userns-remap", "podman-uidmap", "lxd")
USERNS = 0xEFFFFFFD
SU = Executable("/usr/bin/su", 0, 0o4755)


def evidence(name: str) -> Evidence:
    return Evidence.from_json(json.loads((DATA / f"{name}.json").read_text()))


def by(user: int, file: Executable = SU, userns: int = USERNS, alive: bool = False) -> Execution:
    return Execution(file, "sh", (user, user, user, user), userns, alive)


@pytest.mark.parametrize("name", RECORDED)
def test_recorded(name: str) -> None:
    verdict, failed, undecided = RECORDED[name]
    report = audit(evidence(name))
    assert report.verdict == verdict, str(report)
    assert report.failed == failed, str(report)
    assert tuple(t.number for t in report.tests if t.passed is None) == undecided


@pytest.mark.parametrize("name", RECORDED)
def test_a_mutant_that_reads_only_the_uid_map(name: str) -> None:
    """It is fooled by whoever is root and remaps its containers."""
    fooled = bool(audit(evidence(name)).test(4).passed) != (RECORDED[name][0] == "rootless")
    assert fooled == (name in REMAPPED)


@pytest.mark.parametrize("name", RECORDED)
def test_a_mutant_that_reads_only_the_user_of_the_container(name: str) -> None:
    """It is fooled by whoever is root and starts the container as somebody else."""
    fooled = (0 not in evidence(name).init.uids) != (RECORDED[name][0] == "rootless")
    assert fooled == (name in ("run-user", "setuid-runtime", *REMAPPED))


@pytest.mark.parametrize("name", ["docker-group", "run-user", "userns-remap"])
def test_a_user_without_groups_does_not_make_it_rootless(name: str) -> None:
    seen = replace(evidence(name), groups=("tester",))
    assert audit(seen).verdict == "not rootless"


def test_rootlesskit_may_bind_ports_but_is_flagged() -> None:
    report = audit(evidence("rootless-net-bind"))
    assert "rootlesskit" in report.test(2).flagged
    assert "cap_net_bind_service" in report.test(5).flagged
    assert not any(t.flagged for t in audit(evidence("rootless")).tests)


def test_another_holder_of_that_capability_is_no_exception() -> None:
    seen = evidence("rootless-net-bind")
    file = Executable("/usr/bin/other", 0, 0o755)
    processes = tuple(
        replace(p, executable=file) if p.permitted == NET_BIND_SERVICE else p
        for p in seen.processes
    )
    report = audit(replace(seen, processes=processes))
    assert report.failed == (2,)


@pytest.mark.parametrize("position", range(4))
def test_each_of_the_four_user_ids_counts(position: int) -> None:
    seen = evidence("rootless")
    uids = tuple(0 if n == position else 1000 for n in range(4))
    changed = (replace(seen.processes[0], uids=uids), *seen.processes[1:])
    assert audit(replace(seen, processes=changed)).failed == (1,)


@pytest.mark.parametrize("kind", ["permitted", "effective", "ambient"])
def test_each_capability_set_counts(kind: str) -> None:
    seen = evidence("rootless")
    first = seen.processes[0]
    assert first.userns == USERNS, "rootlesskit's parent process stays on the host"
    changed = {"permitted": 0, "effective": 0, "ambient": 0, kind: 1 << 21}
    held = replace(
        first,
        permitted=changed["permitted"],
        effective=changed["effective"],
        ambient=changed["ambient"],
    )
    report = audit(replace(seen, processes=(held, *seen.processes[1:])))
    assert report.failed == (2,)
    assert "cap_sys_admin" in report.test(2).why


def test_host_root_inside_a_range() -> None:
    seen = evidence("rootless")
    mapped = tuple(replace(p, gid_map=((1, 0, 5),)) for p in seen.processes)
    assert 4 in audit(replace(seen, processes=mapped)).failed


def test_a_copy_of_a_helper_elsewhere_is_no_helper() -> None:
    copy = by(1000, Executable("/opt/newuidmap", 0, 0o4755))
    usual = by(1000, Executable("/usr/bin/newuidmap", 0, 0o4755))
    helpers = {"newuidmap": "/bin/newuidmap"}
    seen = replace(evidence("rootless"), helpers=helpers, executions=(usual,))
    assert audit(seen).test(5).passed
    assert Look(seen, audit(seen)).gains == "only helpers"
    seen = replace(seen, executions=(usual, copy))
    assert "/opt/newuidmap" in audit(seen).test(5).why
    assert Look(seen, audit(seen)).gains == "also: /opt/newuidmap"


def test_an_unknown_owner_of_the_namespace_is_inconclusive() -> None:
    seen = replace(evidence("rootless"), userns=(), userns_error="the kernel does not tell: ENOTTY")
    report = audit(seen)
    assert (report.verdict, report.test(3).passed) == ("inconclusive", None)


def test_executions_that_were_not_watched_are_inconclusive() -> None:
    for seen in (
        replace(evidence("rootless"), executions=None, not_watched="no fanotify"),
        replace(evidence("rootless"), not_watched="the queue overflowed"),
        replace(evidence("rootless"), executions=(), executions_seen=0),
    ):
        report = audit(seen)
        assert (report.verdict, report.test(5).passed) == ("inconclusive", None)


def test_a_view_from_inside_a_namespace_decides_nothing() -> None:
    report = audit(replace(evidence("docker-group"), from_initial_namespaces=False))
    assert report.verdict == "inconclusive"


def test_su_fails_two_tests() -> None:
    assert audit(replace(evidence("rootless"), executions=(by(1000),))).failed == (5, 6)


def test_a_setuid_mount_in_a_user_namespace_gains_nothing() -> None:
    """dockerd-rootless.sh does run it, so the recording holds one."""
    seen = evidence("rootless")
    assert seen.executions is not None
    mount = next(e for e in seen.executions if e.executable.name == "mount")
    assert mount.executable.setuid
    assert not gains_privilege(mount, USERNS)
    assert gains_privilege(replace(mount, userns=USERNS), USERNS)


def test_who_gains() -> None:
    ping = Executable("/usr/bin/ping", 0, 0o755, "cap_net_raw=ep")
    assert gains_privilege(by(1000, ping), USERNS)
    assert gains_privilege(by(1000, userns=0), USERNS), "unknown: suppose the worst"
    assert not gains_privilege(by(0), USERNS), "root has nothing to gain"
    own = Executable("/home/tester/own", 1000, 0o4755)
    assert not gains_privilege(by(1000, own), USERNS), "the user's own file"


def test_a_setgid_bit_of_a_group_as_good_as_root() -> None:
    client = Executable("/usr/bin/docker", 0, 0o2755, group="docker")
    assert gains_privilege(by(1000, client), USERNS)
    assert not gains_privilege(by(1000, client, userns=7), USERNS)
    assert not gains_privilege(by(1000, replace(client, group="mail")), USERNS)
    assert not gains_privilege(by(1000, replace(client, mode=0o2745)), USERNS), "no bit to execute"
    report = audit(replace(evidence("rootless"), executions=(by(1000, client),)))
    assert report.failed == (5,)
    assert "setgid docker" in report.test(5).why


def test_groups_that_only_a_process_has() -> None:
    seen = evidence("rootless")
    first = replace(seen.processes[0], groups=("disk", "tester"))
    assert audit(replace(seen, processes=(first, *seen.processes[1:]))).failed == (6,)


def test_a_helper_that_stays_alive_fails() -> None:
    newuidmap = Executable("/usr/bin/newuidmap", 0, 0o4755)
    seen = replace(evidence("rootless"), executions=(by(1000, newuidmap, alive=True),))
    assert audit(seen).failed == (5,)


def test_groups_and_root() -> None:
    for group in ("docker", "sudo", "wheel", "lxd", "incus-admin"):
        seen = replace(evidence("rootless"), groups=("tester", group))
        assert audit(seen).failed == (6,)
    assert audit(replace(evidence("rootless"), user_id=0)).failed == (6,)


def test_the_report_is_json_and_prose() -> None:
    report = audit(evidence("userns-remap"))
    assert json.loads(json.dumps(report.to_json()))["verdict"] == "not rootless"
    assert "1 FAIL no process is root" in str(report)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("run-user", "not rootless"),
        ("setuid-runtime", "not rootless"),
        ("docker-group", "not rootless, and the container runs as 0"),  # had it ignored --user
    ],
)
def test_a_container_that_was_to_be_the_users(name: str, word: str) -> None:
    seen = evidence(name)
    assert Look(seen, audit(seen)).verdict_as(1000) == word


@pytest.mark.parametrize(
    ("name", "tests"),
    [("run-user", (1, 2, 4)), ("docker-group", (1, 2, 4)), ("userns-remap", (1, 2, 3)),
     ("podman-uidmap", (1, 2, 3)), ("lxd", (1, 2, 3)), ("setuid-runtime", (5,))],
)  # fmt: skip
def test_a_verdict_has_to_rest_on_the_tests_of_its_kind(name: str, tests: tuple[int, ...]) -> None:
    seen = evidence(name)
    assert Look(seen, audit(seen)).verdict_by(*tests) == "not rootless"
    others = tuple(replace(namespace, owner=1000) for namespace in seen.userns)
    blind = replace(seen, userns=others, executions=())
    if name in REMAPPED:
        assert Look(blind, audit(blind)).verdict_by(*tests) == "not rootless, and passes 3"
    if name == "setuid-runtime":
        assert Look(blind, audit(blind)).verdict_by(*tests) == "not rootless, and passes 5"
        unwatched = replace(seen, executions=None, not_watched="no fanotify")
        with pytest.raises(TestbedError):
            Look(unwatched, audit(unwatched)).verdict_by(*tests)
