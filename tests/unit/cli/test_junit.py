"""junit.xml beside run.json: only where scenarios are run, and readable by others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from harness.paths import project
from harness.results.text import printable


def pytest_in(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *words], cwd=directory, capture_output=True,
        text=True, check=False, env={**os.environ, "ROOTLESS_HARNESS_CACHE": str(directory)},
    )  # fmt: skip


def test_runs_without_scenarios_leave_nothing(tmp_path: Path) -> None:
    ports = "scenarios/test_ports.py"
    for words in (("--list-cells",), ("--collect-only", ports), (ports, "-k", "no_such_test")):
        result = pytest_in(tmp_path, "run", *words)
        assert result.returncode in (0, 5), result.stdout + result.stderr
        assert not (tmp_path / "runs").is_dir() or not list((tmp_path / "runs").iterdir())
        assert "generated xml" not in result.stdout


def test_wrong_options_end_with_4(tmp_path: Path) -> None:
    result = pytest_in(tmp_path, "run", "scenarios/test_ports.py", "--cell", "debian-99/x86_64")
    assert result.returncode == 4
    assert "no cell matches" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_what_guests_say_is_legal_xml(tmp_path: Path) -> None:
    said = "".join(map(chr, [*range(1, 0xA0), 0xDCFF]))
    (tmp_path / "test_it.py").write_text(
        f"def test_it(record_property):\n    record_property('a', {printable(said)!r})\n"
        f"    assert not {printable(said)!r}\n"
    )
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path),
         "-p", "no:cacheprovider", "--junitxml", str(tmp_path / "junit.xml"), str(tmp_path)],
        cwd=project(), capture_output=True, check=False,
    )  # fmt: skip
    text = (tmp_path / "junit.xml").read_text()
    ElementTree.fromstring(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text.replace("\x85", ""))
