"""Cells that cannot boot, through pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_an_unsupported_cell_is_skipped_with_the_document_s_reason(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-rs",
        "scenarios/test_ports.py", "--cell", "debian-12/s390x", "--run-dir", str(run),
        "--cache-dir", str(tmp_path / "cache"),
    ]  # fmt: skip
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "debian-12/s390x is unsupported: Docker manual" in result.stdout
    assert "passed" not in result.stdout
    assert " 1 skipped," in result.stdout
    (row,) = json.loads((run / "run.json").read_text())["rows"]
    assert (row["claim"], row["verdict"]) == ("D18", "unsupported")


def test_it_is_said_once_of_all_scenarios(tmp_path: Path) -> None:
    result = _run(tmp_path, "--run-dir", "run", "--cache-dir", "cache", "-v", "-k", "8080 or sctp")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("SKIPPED") == 1


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "scenarios/test_ports.py",
        "--cell", "debian-12/s390x", "--run-dir", str(tmp_path),
    ]  # fmt: skip
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 4
    assert "there is a run already" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert (tmp_path / "run.json").read_text() == "{}"


def _run(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist",
               str(ROOT / "scenarios" / "test_ports.py"), f"--rootdir={ROOT}",
               "-c", str(ROOT / "pyproject.toml"), "--cell", "debian-12/s390x", *words]  # fmt: skip
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none/below"])
def test_a_run_that_cannot_be_kept_does_not_begin(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = _run(tmp_path, "--run-dir", place, "--cache-dir", "cache")
    assert result.returncode == 4, result.stdout + result.stderr
    assert f"--run-dir {place}: no run can be kept there" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert "SKIPPED" not in result.stdout


def test_a_run_is_kept_where_it_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell reads the ~ in --run-dir=~/run."""
    monkeypatch.setenv("HOME", str(tmp_path))
    result = _run(tmp_path, "--run-dir=~/run", "--cache-dir", "cache")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "run" / "run.json").exists()
    again = _run(tmp_path, "--run-dir=~/run", "--cache-dir", "cache")
    assert "there is a run already" in again.stderr
    assert not (tmp_path / "~").exists()


def test_looking_whether_a_run_can_be_kept_leaves_nothing(tmp_path: Path) -> None:
    result = _run(tmp_path, "--run-dir", "new", "--cache-dir", "cache", "-k", "nothing")
    assert result.returncode == 5, result.stdout + result.stderr
    assert not (tmp_path / "new").exists()


def test_where_no_runs_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    result = _run(tmp_path, "--cache-dir", "cache")
    assert result.returncode == 16, result.stdout + result.stderr
    assert "Not a directory" in result.stdout
    assert "INTERNALERROR" not in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = _run(tmp_path, "--run-dir", "run", "--cache-dir", "file")
    assert result.returncode == 16
    images = tmp_path / "file" / "images"
    assert f"the cache {images} cannot be written to: Not a directory\n" in result.stderr
    assert "choose another with ROOTLESS_HARNESS_CACHE" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize("words", [(), ("--cell", "debian-12/*"), ("-n", "2")], ids=str)
def test_a_run_that_would_skip_everything_is_no_success(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    """A machine without an emulator: s390x alone would be left, which no machine can boot."""
    command = [sys.executable, "-m", "harness.cli", "run", "--run-dir", str(tmp_path / "run"),
               "--cache-dir", str(tmp_path / "cache"), *words]  # fmt: skip
    result = subprocess.run(command, cwd=tmp_path, env={"PATH": "/nonexistent"}, text=True,
                            capture_output=True, check=False)  # fmt: skip
    assert result.returncode == 4, result.stdout + result.stderr
    assert "none of the selected cells can boot here: " in result.stderr
    assert "qemu-" in result.stderr
    assert "; and " in result.stderr
    assert len(result.stderr) < 1500
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("mischief", "status"),
    [("raise KeyboardInterrupt", 130), ("raise session.Interrupted('no')", 2)],
)
@pytest.mark.parametrize("words", [(), ("-n", "1")], ids=str)
def test_ctrl_c_is_told_apart_from_what_could_not_be_collected(
    words: tuple[str, ...], mischief: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "mischief.py").write_text(
        "import pytest\n\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        f"def pytest_sessionstart(session):\n    {mischief}\n"
    )
    command = [sys.executable, "-m", "harness.cli", "run", "--cell", "debian-12/s390x",
               "-p", "mischief", "--run-dir", "run", "--cache-dir", "cache", *words]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    result = subprocess.run(command, cwd=tmp_path, env=env, text=True, capture_output=True,
                            check=False)  # fmt: skip
    assert result.returncode == status, result.stdout + result.stderr
    assert not (tmp_path / "run").exists()
