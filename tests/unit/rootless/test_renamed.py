"""A program is known by its name, and by the one that it has behind a wrapper."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.guest.session import CommandTimeout
from harness.rootless import engine, processes
from harness.rootless.renamed import original
from tests.unit.packages.local import Here

ENGINE = ("dockerd", "containerd", "rootlesskit", "docker-proxy", "slirp4netns", "pasta")
BUSY = 'i=0; while [ "$i" -lt 200000 ]; do i=$((i + 1)); done; echo; read line'


@pytest.mark.parametrize("name", [
    "dockerd", "dockerd.real", "dockerd-orig", "containerd.distrib", "rootlesskit.rea",
    "rootlesskit-dis", "slirp4netns.dis", "docker-proxy.re", "docker-proxy-re", "pasta.avx2",
])  # fmt: skip
def test_a_renamed_program_is_known(name: str) -> None:
    assert name.startswith(original(name, ENGINE) or "nothing")


@pytest.mark.parametrize("name", [
    "docker", "dockerd-rootles", "dockerd-rootless.sh", "dockerd-rootless-setuptool.sh",
    "containerd-shim", "containerd-shim-runc-v2", "containerd-rootless.sh", "rootlesskit-doc",
    "rootlesskit-docker-proxy", "rootlessctl", "pastatoo", "my-dockerd",
])  # fmt: skip
def test_another_program_is_not(name: str) -> None:
    assert original(name, ENGINE) == ""


@contextmanager
def running(path: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A copy of this machine's sh, which has said a line."""
    shutil.copy("/bin/sh", path)
    argv = [str(path), *arguments]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def guest() -> Any:
    """This machine, whose root is the user."""
    return SimpleNamespace(root=Here(), access=SimpleNamespace(user="root"))


def test_a_process_behind_a_wrapper_is_found(guest: Any, tmp_path: Path) -> None:
    with running(tmp_path / "rootlesskit.distrib", "-c", BUSY) as process:
        assert str(process.pid) in processes.pids(guest, "dockerd", "rootlesskit")
        assert str(process.pid) not in processes.pids(guest, "dockerd")


def test_a_wrapper_that_waits_is_not_the_program(guest: Any, tmp_path: Path) -> None:
    wrapper = tmp_path / "dockerd"
    wrapper.write_text("#!/bin/sh\necho; read line\n")
    wrapper.chmod(0o755)
    with subprocess.Popen([wrapper], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert str(process.pid) not in processes.pids(guest, "dockerd")
        process.kill()


@pytest.mark.parametrize(("name", "spins"), [
    ("dockerd-rootless.sh", True), ("dockerd.real", False), ("exe", False),
])  # fmt: skip
def test_a_script_that_was_at_work_all_the_time_spins(
    guest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, spins: bool
) -> None:
    with running(tmp_path / name, "-c", BUSY) as process:
        (tmp_path / "pgrep").write_text(f"#!/bin/sh\necho {process.pid}\n")
        (tmp_path / "pgrep").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
        worked = (int(stat[11]) + int(stat[12])) / processes.TICKS
        assert worked > 0
        assert processes.spins(guest, CommandTimeout("late", waited=worked)) is spins
        assert not processes.spins(guest, CommandTimeout("late", waited=2 * worked))
        guest.idle = lambda _: ""
        late = CommandTimeout("late", waited=worked)
        (tmp_path / "journalctl").write_text("#!/bin/sh\n")
        (tmp_path / "journalctl").chmod(0o755)
        assert engine.hopeless(guest, late) is spins
