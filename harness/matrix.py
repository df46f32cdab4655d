"""Cells: the squares of the matrix, and how a user selects them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.errors import UsageError
from harness.names import instead

TWIN = "twin"
ARCHES = ("x86_64", "aarch64", "s390x")
EMULATOR_PACKAGES = {"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"}  # of Debian


@dataclass(frozen=True, order=True)
class Cell:
    """One distro release on one architecture, perhaps with one engine package version.

    ``id`` is what users type: ``debian-12/x86_64``, ``debian-12/x86_64+cgroup-v1`` (booted in a
    mode of its own) or ``debian-12/x86_64/docker.io=20.10.24``.  A cell that boots a twin for
    want of an image says so: ``photon-4/x86_64+twin``.
    """

    distro: str
    release: str
    arch: str
    engine: str = ""
    mode: str = ""
    twin: bool = False

    @property
    def id(self) -> str:
        base = f"{self.distro}-{self.release}/{self.arch}"
        if self.mode:
            base += f"+{self.mode}"
        if self.twin:
            base += f"+{TWIN}"
        return f"{base}/{self.engine}" if self.engine else base

    @property
    def slug(self) -> str:
        """The id as a file name."""
        return self.id.replace("/", "_").replace("=", "_")

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class Support:
    """Whether a cell can boot here.  ``status`` is ``available``, ``unsupported`` (a document
    says it cannot be) or ``unreachable`` (this machine lacks something, named in ``reason``)."""

    cell: Cell
    status: str
    reason: str
    source: str = ""  # image source: upstream, built or twin
    twinned: bool = False  # whether a twin of the distro is written


def matches(cell: Cell, pattern: str) -> bool:
    """Whether the glob *pattern* selects *cell*.  That a cell is a twin follows from what there is,
    so it does not select."""
    return fnmatchcase(cell.id.replace(f"+{TWIN}", ""), pattern.replace(f"+{TWIN}", ""))


def _selects(pattern: str, row: Support) -> bool:
    """As :func:`matches`, but what has no twin is not selected as one."""
    return matches(row.cell, pattern) and (row.twinned or f"+{TWIN}" not in pattern)


def select(
    supports: Iterable[Support],
    *,
    cells: Sequence[str] = (),
    distros: Sequence[str] = (),
    arches: Sequence[str] = (),
) -> list[Support]:
    """The rows whose cell matches every given kind of filter (each list: any of its globs).

    A pattern that matches nothing raises :class:`UsageError`, with the known names.
    """
    rows = list(supports)

    def ids(row: Support) -> str:
        return row.cell.id.replace(f"+{TWIN}", "")

    def names(row: Support) -> tuple[str, str]:
        return row.cell.distro, f"{row.cell.distro}-{row.cell.release}"

    for pattern in cells:
        if not any(_selects(pattern, row) for row in rows):
            distro, _, arch = pattern.partition("/")
            known = instead(pattern, sorted({ids(row) for row in rows}), "cells")
            if arch and not any(fnmatchcase(row.cell.arch, arch.partition("+")[0]) for row in rows):
                there = {row.cell.arch for row in rows if fnmatchcase(names(row)[1], distro)}
                if there:
                    known = (f"there is no architecture {arch}; {distro} has:"
                             f" {', '.join(sorted(there))}")  # fmt: skip
            if any(matches(row.cell, pattern) for row in rows):
                known = f"no twin of it is written; {pattern.replace(f'+{TWIN}', '')} is there"
            base = f"{distro}/{arch.partition('/')[0]}"
            if base != pattern and any(_selects(base, row) for row in rows):
                known = (f"{base} is there, and a version of its engine selects in run, shell and"
                         " explain alone")  # fmt: skip
            raise UsageError(f"no cell matches {pattern!r}; {known}", command="harness matrix")
    for pattern in distros:
        if not any(fnmatchcase(name, pattern) for row in rows for name in names(row)):
            known = instead(pattern, sorted({names(row)[1] for row in rows}), "distros")
            raise UsageError(f"no distro matches {pattern!r}; {known}", command="harness matrix")
    for pattern in arches:
        if not any(fnmatchcase(row.cell.arch, pattern) for row in rows):
            known = ", ".join(sorted({row.cell.arch for row in rows}))
            raise UsageError(f"no architecture matches {pattern!r}; known: {known}",
                             command="harness matrix")

    def wanted(row: Support) -> bool:
        return (
            (not cells or any(_selects(p, row) for p in cells))
            and (not distros or any(fnmatchcase(n, p) for p in distros for n in names(row)))
            and (not arches or any(fnmatchcase(row.cell.arch, p) for p in arches))
        )

    return [row for row in rows if wanted(row)]
