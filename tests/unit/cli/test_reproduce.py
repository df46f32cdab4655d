"""The command that runs a scenario again."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.paths import project
from harness.session import reproduce

SCENARIO = "scenarios/test_ports.py::test_port_80"
CELL = "debian-12/x86_64/docker.io=20.10.24"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a pytest of its own, out of PATH."""
    program = tmp_path / "env" / "bin" / "pytest"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_program_is_named_as_it_was_called(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = str(elsewhere / "env" / "bin" / "pytest")
    assert reproduce.program("env/bin/pytest") == ["env/bin/pytest"]
    assert reproduce.program(called) == ["env/bin/pytest"]
    monkeypatch.setenv("PATH", str(elsewhere / "env" / "bin"))
    assert reproduce.program(called) == ["pytest"]
    monkeypatch.chdir("/usr")
    monkeypatch.setenv("PATH", "")
    assert reproduce.program(called) == [called]


def test_other_ways_of_calling_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr")
    monkeypatch.setenv("PATH", "")
    assert reproduce.program("/x/harness") == ["/x/harness", "run"]
    assert reproduce.program("/x/pytest/__main__.py") == [sys.executable, "-m", "pytest"]


def test_the_checkout_is_found_from_where_the_user_is(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = os.path.relpath(project(), elsewhere)
    line = reproduce.command(reproduce.prefix("env/bin/pytest"), SCENARIO, CELL, [])
    assert shlex.split(line) == ["env/bin/pytest", f"{there}/{SCENARIO}", "--cell", CELL]
    monkeypatch.chdir(project())
    assert SCENARIO in reproduce.command(reproduce.prefix("pytest"), SCENARIO, CELL, []).split()


def test_what_alters_a_guest_is_carried_along() -> None:
    values: dict[str, str | list[str]] = {
        "--hook": ["prepared:a b.sh", "daemon:c.sh"], "--kernel-args": "x y=1",
        "--withhold": ["photon-subuid"],
        "--accel": "auto", "--libvirt-uri": "qemu:///system", "--image-source": "upstream",
    }  # fmt: skip
    words = reproduce.carried(values, {"--accel": "auto", "--libvirt-uri": "qemu:///embed"})
    assert words == [
        "--hook", "prepared:a b.sh", "--hook", "daemon:c.sh", "--withhold", "photon-subuid",
        "--kernel-args", "x y=1", "--libvirt-uri", "qemu:///system", "--image-source", "upstream",
    ]  # fmt: skip
    line = reproduce.command(["pytest", ""], SCENARIO, CELL, words)
    assert shlex.split(line)[4:] == words
    assert reproduce.altering(["pytest", *words]) == (
        "--hook 'prepared:a b.sh' --hook daemon:c.sh --withhold photon-subuid --kernel-args 'x y=1'"
    )
    assert reproduce.altering(["--hook=prepared:a.sh"]) == "--hook prepared:a.sh"


def test_the_command_selects_the_scenario_from_anywhere(elsewhere: Path) -> None:
    program = str(Path(sys.executable).with_name("pytest"))
    line = reproduce.command(reproduce.prefix(program), SCENARIO, "debian-12/s390x", [])
    words = [*shlex.split(line), "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "test_port_80" in done.stdout, done.stdout + done.stderr
