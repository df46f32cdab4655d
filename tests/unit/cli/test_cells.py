"""Cells that cannot boot, through pytest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
    (row,) = json.loads((run / "run.json").read_text())["rows"]
    assert (row["claim"], row["verdict"]) == ("D18", "unsupported")


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
