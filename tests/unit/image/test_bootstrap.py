"""The shell scripts that make a machine ready."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import paths

SCRIPTS = ["tools/bootstrap", ".ci/run"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_parses_and_may_be_run(script: str) -> None:
    path = paths.project() / script
    subprocess.run(["bash", "-n", path], check=True)
    assert path.stat().st_mode & 0o111
    assert "set -euo pipefail" in path.read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_is_content(script: str) -> None:
    found = subprocess.run(
        ["shellcheck", paths.project() / script], capture_output=True, text=True, check=False
    )
    assert not found.stdout


def bootstrap(venv: Path, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [paths.project() / "tools/bootstrap"], env={**os.environ, "VENV": str(venv), "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_directory_that_is_no_virtual_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("dear")
    done = bootstrap(tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path} is there and is no virtual environment" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]


@pytest.mark.skipif(not Path(sys.prefix, ".stamp").exists(), reason="tox made the environment")
def test_a_machine_without_dpkg_uses_what_is_there(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "ls", "sha256sum", "cat", "getent", "id", "grep", "env"):
        found = shutil.which(name)
        assert found, name
        (tmp_path / name).symlink_to(found)
    done = bootstrap(Path(sys.prefix), str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
