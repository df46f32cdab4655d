"""The shell scripts that make a machine ready."""

from __future__ import annotations

import shutil
import subprocess

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
