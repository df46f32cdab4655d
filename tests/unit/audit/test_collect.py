"""Which processes belong to the runtime: the choice made in the guest, on small tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.rootless.audit import guest_collect, guest_watch

HOST = guest_collect.INITIAL["pid"]
BOX = 7
Table = dict[int, dict[str, Any]]


def table(*rows: tuple[int, int, str, int, str, int]) -> Table:
    """pid, ppid, comm, uid, cgroup, pid namespace."""
    every: Table = {}
    for pid, ppid, comm, uid, cgroup, pidns in rows:
        every[pid] = {
            "pid": pid,
            "ppid": ppid,
            "comm": comm,
            "uids": [uid] * 4,
            "cgroup": [f"0::/{cgroup}"],
            "pidns": pidns,
            "userns": guest_collect.INITIAL["user"],
            "roles": [],
        }
    return every


def chosen(
    monkeypatch: pytest.MonkeyPatch, every: Table, owners: list[int], *spaces: int
) -> dict[int, set[str]]:
    monkeypatch.setattr(guest_collect, "socket_owners", lambda path, every: owners)
    socket = "/run/docker.sock" if owners else ""
    guest_collect.select(every, 20, socket, 1000, frozenset(spaces))
    return {pid: set(one["roles"]) for pid, one in every.items() if one["roles"]}


def test_a_rootful_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    every = table(
        (1, 0, "systemd", 0, "init.scope", HOST),
        (5, 1, "containerd", 0, "containerd.service", HOST),
        (6, 1, "dockerd", 0, "docker.service", HOST),
        (8, 6, "docker-proxy", 0, "docker.service", HOST),
        (10, 1, "containerd-shim", 0, "containerd.service", HOST),
        (20, 10, "init", 0, "box.scope", BOX),
        (30, 1, "sshd", 0, "ssh.service", HOST),
        (31, 1, "rootlesskit", 1000, "user/docker.service", HOST),
        (32, 31, "slirp4netns", 1000, "user/docker.service", HOST),
    )
    roles = chosen(monkeypatch, every, [1, 6])
    assert set(roles) == {5, 6, 8, 10, 20}, "PID 1 holds the socket too and does not count"
    assert roles[20] == {"init", "container"}
    assert "api-socket" in roles[6]
    assert "helper" in roles[8]
    assert "ancestor" in roles[10]


def test_an_engine_without_a_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    every = table(
        (1, 0, "systemd", 0, "init.scope", HOST),
        (2, 1, "systemd", 1000, "user/init.scope", HOST),
        (10, 2, "conmon", 1000, "user/box.scope", HOST),
        (20, 10, "sshd", 1000, "user/box.scope", BOX),
        (21, 20, "sh", 100000, "user/box.scope", BOX),
        (25, 2, "pasta.avx2", 1000, "user/session.scope", HOST),
        (40, 1, "cron", 0, "cron.service", HOST),
    )
    roles = chosen(monkeypatch, every, [])
    assert set(roles) == {10, 20, 21, 25}
    assert roles[25] == {"helper"}
    assert roles[20] == {"init", "container"}, "a container may run what a login runs"


def test_a_shell_is_an_ancestor_but_not_what_logged_it_in(monkeypatch: pytest.MonkeyPatch) -> None:
    every = table(
        (1, 0, "systemd", 0, "init.scope", HOST),
        (3, 1, "sshd", 0, "ssh.service", HOST),
        (4, 3, "sshd", 1000, "session.scope", HOST),
        (9, 4, "bash", 1000, "session.scope", HOST),
        (11, 9, "vim", 1000, "session.scope", HOST),
        (20, 9, "starter", 1000, "session.scope", HOST),
    )
    assert set(chosen(monkeypatch, every, [])) == {9, 20}


def test_who_holds_the_namespaces_is_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Podman's pause process: nobody's ancestor, and its name says nothing."""
    every = table(
        (1, 0, "systemd", 0, "init.scope", HOST),
        (10, 1, "conmon", 1000, "user/box.scope", HOST),
        (20, 10, "busybox", 1000, "user/box.scope", BOX),
        (30, 1, "podman pause", 1000, "user/pause.scope", HOST),
        (40, 1, "other", 1000, "user/other.scope", HOST),
    )
    for pid, space in ((20, 51), (30, 50), (40, 52)):
        every[pid]["userns"] = space
    roles = chosen(monkeypatch, every, [], 51, 50)
    assert set(roles) == {10, 20, 30}
    assert roles[30] == {"same-userns"}


def test_who_carries_the_network_is_a_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's, and asked for from where nobody is an ancestor of it; not that of another engine."""
    monkeypatch.setattr(guest_collect, "TUN", Path("/dev/null").stat().st_rdev)
    argv, quiet = [sys.executable, "-c", "import sys; sys.stdin.read()"], subprocess.DEVNULL
    with (
        subprocess.Popen([*argv, "20", "tap0"], stdin=subprocess.PIPE, stdout=quiet) as own,
        subprocess.Popen([*argv, "40", "tap0"], stdin=subprocess.PIPE, stdout=quiet) as others,
        subprocess.Popen([*argv, "20"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as idle,
    ):
        every = table(
            (1, 0, "systemd", 0, "init.scope", HOST),
            (10, 1, "conmon", 1000, "user/box.scope", HOST),
            (20, 10, "busybox", 1000, "user/box.scope", BOX),
            *((one.pid, 1, "site", 0, "site.service", HOST) for one in (own, others, idle)),
        )
        roles = chosen(monkeypatch, every, [])
    assert set(roles) == {10, 20, own.pid}
    assert roles[own.pid] == {"helper"}


def test_the_groups_of_a_process_are_its_own() -> None:
    seen = guest_collect.process(os.getpid())
    assert seen is not None
    assert seen["gids"] >= {os.getegid(), *os.getgroups()}
    name = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()
    assert guest_collect.group_name(os.getegid()) == name


@pytest.mark.parametrize("bit", [0, 0o2000])
def test_a_setgid_bit_is_seen_at_the_execution(bit: int, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.touch()
    program.chmod(0o755 | bit)
    with program.open() as file:
        seen = guest_watch.privileged(file.fileno())
    assert (seen is not None) == bool(bit)
    if seen is not None:
        assert seen["group"] == guest_collect.group_name(program.stat().st_gid)
