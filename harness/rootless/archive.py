"""Which version of the engine's package a cell's id means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.errors import UsageError
from harness.matrix import Cell
from harness.packages import PackageManager
from harness.results.versions import upstream_version


def pick(available: Sequence[str], asked: str) -> str:
    """The package version that *asked* means: the same one, else the newest whose upstream part
    is *asked* (``20.10.24`` means ``20.10.24+dfsg1-1``, not ``20.10.2``).  Empty for none."""
    if asked in available:
        return asked
    for version in available:
        if upstream_version(version) and str(upstream_version(version)) == asked:
            return version
    return ""


def pinned(packages: PackageManager, cell: Cell, engine: str) -> str:
    """``docker.io=20.10.24`` with the package's whole version.  Raises :class:`UsageError`, with
    all the versions there are, for one that the archive lacks."""
    name, _, asked = engine.partition("=")
    available = packages.versions(name)
    found = pick(available, asked)
    if not found:
        has = f"the archive has {', '.join(available)}" if available else "the archive has none"
        base = replace(cell, engine="").id
        raise UsageError(f"{base} has no {name} {asked}: {has}",
                         command=f"harness matrix --versions {base}")  # fmt: skip
    return f"{name}={found}"


def meaning(available: Sequence[str], version: str) -> str:
    """The shortest text that :func:`pick` takes for *version*, one of *available*."""
    upstream = str(upstream_version(version) or "")
    return upstream if upstream and pick(available, upstream) == version else version
