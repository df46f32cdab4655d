"""The command line called for real, with a cache and a directory of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import main

Call = Callable[..., Result]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory of the command that is called; the current directory is above it."""
    monkeypatch.setenv("ROOTLESS_HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def call(place: Path) -> Call:
    """Call ``harness`` with these words."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, list(words))

    return run
