"""What the looking for suspects notes of cgroups, and of what runs outside of services."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.rootless.suspects import guest_cgroups, guest_notes


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """What the modules that run in the guest note."""
    noted: list[list[Any]] = []
    monkeypatch.setattr(guest_notes, "found", noted)
    return noted


def test_what_a_cgroup_and_those_above_it_were_given(
    tmp_path: Path, seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_cgroups, "TOP", str(tmp_path))
    inner = tmp_path / "user.slice" / "docker.service"
    inner.mkdir(parents=True)
    (inner / "cgroup.freeze").write_text("1\n")
    (inner / "pids.max").write_text("20\n")
    (inner.parent / "pids.max").write_text("7763\n")
    (inner / "memory.max").write_text("max\n")
    (inner / "cpu.max").write_text("max 100000\n")
    (inner.parent / "cgroup.freeze").write_text("0\n")
    guest_cgroups.given("process dockerd", "/user.slice/docker.service")
    assert [(text, odd, value) for _, text, odd, value in seen] == [
        ("pids.max of the cgroup /user.slice/docker.service is 20", False, "20"),
        ("cgroup.freeze of the cgroup /user.slice/docker.service is 1", True, "1"),
        ("pids.max of the cgroup /user.slice is 7763", False, "4 digits"),
    ]


@pytest.mark.parametrize(
    ("group", "told"),
    [
        ("/user.slice/user-0.slice/session-3.scope", True),
        ("/site", True),
        ("/system.slice/run-u7.service", True),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/run-r7.scope", True),
        ("/system.slice/cron.service", False),
        ("/user.slice/user-1000.slice/user@1000.service", False),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", False),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service/evac", False),
        ("/init.scope", False),
    ],
)
def test_what_runs_outside_of_services_is_told_once(
    group: str, told: bool, seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_cgroups, "group_of", lambda pid: group)
    monkeypatch.setattr(guest_cgroups, "namespace", lambda pid: "the machine's")
    script = "echo; read line # left behind"  # and forks nothing, which would be told, too
    with subprocess.Popen(
        ["sh", "-c", script], start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as left:
        assert left.stdout
        left.stdout.readline()  # now it is what it is called
        try:
            guest_cgroups.strays({"dockerd"})
        finally:
            os.killpg(left.pid, signal.SIGKILL)
    texts = [text for _, text, *_ in seen if "left behind" in text]
    who = guest_notes.owner(os.getuid())
    assert texts == [f"{who} runs outside of any service: sh -c {script}"] * told


def test_what_asks_and_who_started_it_is_no_stray() -> None:
    assert {str(os.getpid()), str(os.getppid())} <= guest_cgroups.ancestors() | {"1"}
    assert guest_cgroups.identity(str(os.getpid())) == (os.getuid(), str(os.getppid()))
    assert guest_cgroups.identity("nothing") == (-1, "")
