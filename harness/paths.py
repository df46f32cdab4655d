"""Where things live: the cache (images, saved states, leases) and the stored runs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from harness.errors import TestbedError

CACHE_VARIABLE = "ROOTLESS_HARNESS_CACHE"
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Cache:
    """The cache directory.  Its parts are made when they are first asked for."""

    root: Path

    @property
    def images(self) -> Path:
        return self._part("images")

    @property
    def states(self) -> Path:
        return self._part("states")

    @property
    def twins(self) -> Path:
        return self._part("twins")

    @property
    def leases(self) -> Path:
        return self._part("leases")

    @property
    def guests(self) -> Path:
        return self._part("guests")

    def _part(self, name: str) -> Path:
        part = self.root / name
        with writing(part):
            part.mkdir(parents=True, exist_ok=True)
        return part


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raises :class:`TestbedError` where nothing can be written to a *folder* of the cache."""
    try:
        yield
    except OSError as error:
        full = "free some space there, or " if error.errno in FULL else ""
        raise TestbedError(
            f"the cache {folder} cannot be written to: {error.strerror or error}",
            hint=f"{full}choose another with {CACHE_VARIABLE}",
        ) from error


def cache(explicit: str | Path | None = None) -> Cache:
    """The explicit directory, else $ROOTLESS_HARNESS_CACHE, else the user's own cache."""
    chosen = explicit or os.environ.get(CACHE_VARIABLE) or user_cache_path("rootless-harness")
    return Cache(expanded(chosen).absolute())


def runs(explicit: str | Path | None = None) -> Path:
    """Where runs are stored; made when the first run is."""
    return expanded(explicit or "runs").absolute()


def expanded(name: str | Path) -> Path:
    """*name* with a home directory for ``~`` and ``~user``; that of no user is a name as any."""
    return Path(os.path.expanduser(name))  # noqa: PTH111  # Path.expanduser raises for it


def project() -> Path:
    """The checkout: the data in ``images/`` is used from there (``pip install -e``)."""
    return Path(__file__).resolve().parent.parent
