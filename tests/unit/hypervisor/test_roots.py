"""Roots of the embedded driver, and what dead processes leave in them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from harness.hypervisor import roots
from tests.unit.hypervisor.test_leases import set_the_clock


@pytest.fixture
def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_the_root_of_a_living_process_stays(tmp_path: Path) -> None:
    root = tmp_path / f"rlh-{os.getpid()}-abc"
    root.mkdir()
    assert roots.sweep(tmp_path) == []
    assert root.exists()


def test_the_root_of_a_dead_process_goes(tmp_path: Path, dead_pid: int) -> None:
    root = tmp_path / f"rlh-{dead_pid}-abc"
    (root / "lib").mkdir(parents=True)
    assert roots.sweep(tmp_path) == [root]
    assert not root.exists()


@pytest.fixture
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return roots.new_root()


def test_an_id_that_was_given_again(own_root: Path) -> None:
    assert roots.sweep() == []
    pid, _, *rest = (own_root / roots.OWNER).read_text().split("-")
    (own_root / roots.OWNER).write_text("-".join([pid, "1", *rest]))
    assert roots.sweep() == [own_root]


def test_a_clock_that_is_set_removes_no_root(
    own_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_the_clock(monkeypatch, 7200)
    assert roots.sweep() == []
    assert own_root.exists()


def test_other_directories_are_none_of_ours(tmp_path: Path) -> None:
    for name in ("rlh-x-abc", "other-1-abc"):
        (tmp_path / name).mkdir()
    assert roots.sweep(tmp_path) == []


@pytest.mark.parametrize(("machine", "ends"), [("none,accel=tcg", True), ("pc-i440fx-7.2", False)])
def test_probes_end_and_kept_guests_do_not(
    tmp_path: Path, dead_pid: int, monkeypatch: pytest.MonkeyPatch, machine: str, ends: bool
) -> None:
    root = tmp_path / f"rlh-{dead_pid}-abc"
    root.mkdir()
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen([*command, "-machine", machine, "-pidfile", f"{root}/pid"]) as process:
        try:
            found = psutil.Process(process.pid)
            while "-machine" not in found.cmdline():  # between fork and exec
                time.sleep(0.01)
            monkeypatch.setattr(roots, "qemu_processes", lambda directory: iter([found]))
            gone = roots.sweep(tmp_path)
            assert gone == ([root] if ends else [])
            if ends:
                assert process.wait(10) < 0
            else:
                assert process.poll() is None
        finally:
            process.kill()
