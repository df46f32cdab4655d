from __future__ import annotations

from pathlib import Path

import pytest

from harness import paths


def test_what_is_said_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path / "env"))
    assert paths.cache().root == tmp_path / "env"
    assert paths.cache(tmp_path / "said").root == tmp_path / "said"
    monkeypatch.delenv(paths.CACHE_VARIABLE)
    assert paths.cache().root.name == "rootless-harness"


def test_the_parts_are_made_when_they_are_asked_for(tmp_path: Path) -> None:
    cache = paths.Cache(tmp_path / "cache")
    assert not cache.root.exists()
    assert cache.images.is_dir()
    assert cache.states.is_dir()
    assert cache.leases.is_dir()


def test_a_home_that_nobody_has_is_a_name_as_any(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/root")
    assert paths.cache("~nosuchuser/x").root == tmp_path / "~nosuchuser/x"
    assert paths.runs("~/x") == Path("/root/x")


def test_runs_are_kept_where_one_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.runs() == tmp_path / "runs"
    assert paths.runs("x") == tmp_path / "x"
