"""What does not come in time: refused by the guest, or only late."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.distros import registry
from harness.errors import GuestRefusal, TestbedError
from harness.guest.session import CommandTimeout
from harness.matrix import Cell
from harness.rootless import engine, family, ladder, setuptool
from tests.unit.packages.local import Here

LATE = CommandTimeout("no answer", waited=30)
CELL = Cell("debian", "12", "x86_64")


class Slow:
    """This machine as a guest on which nothing comes, *idle* or at work."""

    def __init__(self, idle: bool) -> None:
        self.root = self.user = Here()
        self.access = SimpleNamespace(user="root")
        self.facts = SimpleNamespace(xdg_runtime_dir="")
        self.cell = str(CELL)
        self._idle = "idle" if idle else ""

    def idle(self, late: CommandTimeout) -> str:
        assert late.waited
        return self._idle

    def wait_until(self, *_: object) -> None:
        raise LATE


def slow(*, idle: bool) -> Any:
    return Slow(idle)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A program of this name and text goes before that of this machine."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def put(name: str, text: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    return put


@pytest.mark.parametrize(
    ("journal", "runs", "idle", "kind"),
    [
        ("Started docker.service.", True, False, CommandTimeout),
        ("Started docker.service.", True, True, GuestRefusal),
        ("Started docker.service.", False, False, GuestRefusal),
        ("docker.service: Scheduled restart job, restart counter is at 1.", True, False,
         GuestRefusal),
    ],
)  # fmt: skip
def test_a_daemon_that_is_at_work_may_yet_come(
    programs: Callable[[str, str], None], journal: str, runs: bool, idle: bool,
    kind: type[Exception],
) -> None:  # fmt: skip
    programs("journalctl", f"echo '{journal}'")
    programs("pgrep", f"exit {int(not runs)}")
    with pytest.raises((CommandTimeout, GuestRefusal)) as caught:
        engine.wait_for_daemon(slow(idle=idle))
    assert caught.type is kind


JOURNAL = """
case "$*" in
    *" USER_UNIT="*) echo "docker.service: Scheduled restart job, restart counter is at 1.";;
    *) echo "$SAID"
       echo "failed to start containerd: timeout waiting for containerd to start"; echo "$UP";;
esac
"""


def test_a_containerd_that_was_late_is_no_fault_of_the_daemon(
    programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor of the next one, which came up, and is late with something else."""
    programs("journalctl", JOURNAL)
    programs("pgrep", "true")
    with pytest.raises(GuestRefusal, match="timeout waiting for containerd"):
        engine.wait_for_daemon(slow(idle=True))  # one that has never said a word
    monkeypatch.setenv("SAID", 'msg="starting containerd"')
    with pytest.raises(TestbedError, match="containerd was not up"):
        engine.wait_for_daemon(slow(idle=True))
    monkeypatch.setenv("UP", "API listen on /run/user/1000/docker.sock")
    with pytest.raises(CommandTimeout):
        engine.wait_for_daemon(slow(idle=False))


def test_a_tool_is_asked_again_where_containerd_was_late(
    programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> setuptool.ToolResult:
        return answers.pop(0)

    failed, done = (setuptool.ToolResult(status, f"{status}\n", "", "") for status in (1, 0))
    answers = [failed, done]
    programs("journalctl", JOURNAL)
    monkeypatch.setattr(setuptool, "run", run)
    monkeypatch.setattr(engine, "wait_for_daemon", lambda *_, **__: None)
    both = engine.install(slow(idle=False))
    assert (both.exit_status, both.stdout) == (0, "1\n0\n")
    answers = [failed, done]
    programs("journalctl", "echo '[rootlesskit:parent] error: no'")
    assert engine.install(slow(idle=False)).exit_status == 1


def test_a_tool_that_is_at_work_may_yet_start_one(
    programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object, **__: object) -> None:
        raise LATE

    programs("journalctl", "true")
    programs("pgrep", "exit 1")
    monkeypatch.setattr(setuptool, "run", late)
    with pytest.raises(CommandTimeout):
        engine.install(slow(idle=False))
    with pytest.raises(GuestRefusal, match="install: no answer"):
        engine.install(slow(idle=True))


@pytest.mark.parametrize(("idle", "kind"), [(True, GuestRefusal), (False, CommandTimeout)])
def test_a_state_is_refused_by_a_guest_that_idles(
    idle: bool, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: object) -> str:
        raise LATE

    monkeypatch.setattr(engine, "start", start)
    with pytest.raises((CommandTimeout, GuestRefusal)) as caught:
        ladder.climb(slow(idle=idle), CELL, registry.of(CELL), "daemon", lambda _: None)
    assert caught.type is kind


def test_an_engine_that_ended_is_not_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(family, "LOG", f"{tmp_path.name}.log")
    log = tmp_path / family.LOG
    with log.open("w") as file, subprocess.Popen(["sleep", "60"], stdout=file) as at_work:
        with pytest.raises(CommandTimeout):
            family.appears(slow(idle=False), Here())
        with pytest.raises(GuestRefusal):
            family.appears(slow(idle=True), Here())
        at_work.kill()
    with pytest.raises(GuestRefusal):
        family.appears(slow(idle=False), Here())
