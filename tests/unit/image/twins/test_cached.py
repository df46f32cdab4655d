"""The repositories in the cache: shown, kept while they are used, and removed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from filelock import FileLock

from harness.image import store
from harness.image.twins import cached

DAY = 86_400.0


def save(cache: Path, name: str, days: float) -> Path:
    """A repository last used some days ago."""
    folder = cache / name
    folder.mkdir(parents=True)
    (folder / cached.TAR).write_bytes(b"x" * 8192)
    (folder / cached.VERSIONS).write_text("{}")
    os.utime(folder / cached.VERSIONS, (time.time() - days * DAY,) * 2)
    return folder


def left(cache: Path) -> list[str]:
    return [one.folder.name for one in cached.repositories(cache)]


def test_each_is_told_by_its_twin_and_key(tmp_path: Path) -> None:
    assert cached.repositories(tmp_path / "none") == []
    save(tmp_path, "opensuse-leap-15.6-0123abcd", 2)
    (tmp_path / ".building-x").mkdir()
    (tmp_path / "half").mkdir()
    (one,) = cached.repositories(tmp_path)
    assert (one.twin, one.key) == ("opensuse-leap-15.6", "0123abcd")
    assert one.size >= 8192
    assert one.used < one.made


def test_what_nobody_used_goes(tmp_path: Path) -> None:
    save(tmp_path, "photon-4-aa", 20)
    touched = save(tmp_path, "photon-4-bb", 20)
    save(tmp_path, "arch-rolling-cc", 3)
    cached.touch(touched)
    assert cached.evict(tmp_path, 14 * DAY) == ["photon-4-aa"]
    assert left(tmp_path) == ["arch-rolling-cc", "photon-4-bb"]
    assert sorted(cached.evict(tmp_path, 0)) == ["arch-rolling-cc", "photon-4-bb"]


def test_what_is_being_made_stays_and_what_a_dead_builder_left_goes(tmp_path: Path) -> None:
    folder = save(tmp_path, "photon-4-aa", 20)
    mine = tmp_path / ".building-photon-4-aa-xyz"
    dead = tmp_path / ".building-arch-rolling-bb-xyz"
    mine.mkdir()
    dead.mkdir()
    with FileLock(store.lock_path(folder)):
        assert cached.evict(tmp_path, 0) == []
    assert left(tmp_path) == ["photon-4-aa"]
    assert (mine.exists(), dead.exists()) == (True, False)
    assert cached.evict(tmp_path, 0) == ["photon-4-aa"]
    assert not mine.exists()
