"""The repositories of twins that the cache has, and getting rid of them."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from harness.image import store

TAR, VERSIONS = "repository.tar", "versions.json"


@dataclass(frozen=True)
class Cached:
    """``made`` and ``used`` in seconds since the epoch; ``size`` in bytes on the disk."""

    twin: str
    key: str
    folder: Path
    made: float
    used: float
    size: int


def repositories(cache: Path) -> list[Cached]:
    """Every finished repository in *cache*, by twin."""
    found = []
    for folder in sorted(cache.glob("[!.]*")):
        twin, _, key = folder.name.rpartition("-")
        with contextlib.suppress(OSError):  # gone meanwhile, or not one of them
            made, used = (folder / TAR).stat().st_mtime, (folder / VERSIONS).stat().st_mtime
            size = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
            found.append(Cached(twin, key, folder, made, used, size))
    return found


def touch(folder: Path) -> None:
    """Somebody uses the repository in *folder*."""
    with contextlib.suppress(OSError):  # somebody else's cache
        os.utime(folder / VERSIONS)


def evict(cache: Path, max_age: float) -> list[str]:
    """Remove what nobody used for *max_age* seconds, and what dead builders left.  The names of
    the former; what somebody is making or removing stays."""
    store.sweep(cache / "-")
    gone = []
    for one in repositories(cache):
        if time.time() - one.used < max_age:
            continue
        lock = FileLock(store.lock_path(one.folder))
        with contextlib.suppress(Timeout), lock.acquire(timeout=0):
            store.discard(one.folder)
            gone.append(one.folder.name)
    return gone
