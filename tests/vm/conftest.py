"""A lab for the harness's own tests, and a way to run scenarios as a user does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.distros import registry
from harness.distros.base import Distro
from harness.matrix import Cell
from harness.paths import cache
from harness.rootless.lab import Lab
from harness.rootless.options import Options

ROOT = Path(__file__).parents[2]
CELL = Cell("debian", "12", "x86_64")


@pytest.fixture(scope="session")
def own_distro() -> Distro:
    return registry.of(CELL)


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab on the common cache; its guests end with the test."""
    lab = Lab(Options(
        cache(), tmp_path.name, tmp_path / "run", image_source="built", progress=lambda _: None,
    ))  # fmt: skip
    yield lab
    lab.close()


@pytest.fixture
def empty_cache(tmp_path: Path) -> Path:
    """A cache that holds the image and no states."""
    path = tmp_path / "cache"
    path.mkdir()
    (path / "images").symlink_to(cache().images)
    return path


@dataclass(frozen=True)
class Outcome:
    """A finished run of scenarios: exit status, screen, rows by rule key."""

    status: int
    screen: str
    rows: dict[str, list[dict[str, Any]]]

    def verdicts(self, key: str) -> set[str]:
        return {row["verdict"] for row in self.rows.get(key, [])}


@pytest.fixture
def run_scenarios(tmp_path: Path) -> Callable[..., Outcome]:
    """``run_scenarios("scenarios/test_ports.py", "--hook", …)`` in a process of its own."""

    def run(*arguments: str, cell: str = CELL.id) -> Outcome:
        directory = tmp_path / "run"
        source = "twin" if cell.endswith("+twin") else "built"
        result = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--run-dir",
                str(directory), "--cell", cell, "--image-source", source, *arguments,
            ],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        rows: dict[str, list[dict[str, Any]]] = {}
        record = directory / "run.json"
        if record.exists():
            for row in json.loads(record.read_text())["rows"]:
                key = f"{row['claim']}.{row['aspect']}" if row["aspect"] else row["claim"]
                rows.setdefault(key, []).append(row)
        return Outcome(result.returncode, result.stdout + result.stderr, rows)

    return run
