"""The catalogue of upstream images: ``images/catalogue/DISTRO.toml``, checked when it is read."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness import paths, toml
from harness.errors import UsageError
from harness.image import document
from harness.image.upstream import fitting
from harness.image.upstream.fixes import files
from harness.image.upstream.schema import Boot, Entry, Fix, Key
from harness.names import instead

Kind = TypeVar("Kind", bound=msgspec.Struct)
TABLES = ("distro", "title", "keys", "boot", "fixes", "image")
VARIABLE = "ROOTLESS_HARNESS_CATALOGUE"
SCHEMA = 1  # raise it when the same entry would be unpacked into another disk


@dataclass(frozen=True)
class Upstream:
    """The image of one cell with everything that its entry refers to."""

    entry: Entry
    boot: Boot
    fixes: tuple[Fix, ...]
    key: Key | None  # of the signature of ``latest``
    path: Path  # the file that says so

    @property
    def cell(self) -> str:
        return self.entry.cell

    @property
    def name(self) -> str:
        return self.cell.partition("/")[0]

    @property
    def arch(self) -> str:
        return self.cell.partition("/")[2]

    @property
    def fetchable(self) -> str:
        """Why no disk can be had of it; empty where one can."""
        if self.entry.format == "iso":
            return "there is only an installer (iso), and installing it is not implemented"
        return ""

    def hash(self) -> str:
        """Changes when another disk would be fetched."""
        entry = self.entry
        made_of = [SCHEMA, entry.cell, entry.format, entry.pinned, entry.latest]
        if inside := files(self.fixes):  # they are written into the disk
            made_of.append(inside)
        return hashlib.sha256(msgspec.json.encode(made_of)).hexdigest()


def folder() -> Path:
    """The project's catalogue, or the directory that :data:`VARIABLE` names."""
    own = os.environ.get(VARIABLE)
    if not own:
        return paths.project() / "images" / "catalogue"
    path = paths.expanded(own).absolute()
    if not path.is_dir():
        raise UsageError(f"{VARIABLE} is no directory: {path}")
    return path


def entry(cell: str) -> Upstream | None:
    """The entry of a cell such as debian-12/x86_64, if there is one; reads its distro's file."""
    path = folder() / f"{cell.partition('-')[0]}.toml"
    return load(path).get(cell) if path.exists() else None


def load_all(where: Path | None = None) -> dict[str, Upstream]:
    """Every entry, by its cell.  The first mistake in any file is raised as one line."""
    found: dict[str, Upstream] = {}
    for path in sorted((where or folder()).glob("*.toml")):
        found |= load(path)
    return found


def select(patterns: tuple[str, ...], where: Path | None = None) -> list[Upstream]:
    """The entries whose cell matches any of the globs; all for none."""
    known = load_all(where)
    for pattern in patterns:
        if not any(fnmatchcase(cell, pattern) for cell in known):
            raise UsageError(f"the catalogue has no image for {pattern!r};"
                             f" {instead(pattern, known, 'images')}",
                             command="harness image list --upstream")  # fmt: skip
    return [
        upstream for cell, upstream in known.items()
        if not patterns or any(fnmatchcase(cell, pattern) for pattern in patterns)
    ]  # fmt: skip


def load(path: Path) -> dict[str, Upstream]:
    """The entries of one file; anything wrong is one line with the file and the place."""
    try:
        return _entries(path, toml.read(path))
    except FileNotFoundError:
        raise toml.refused(path, "there is no such file") from None
    except ValueError as exc:
        raise toml.refused(path, exc) from None


def _entries(path: Path, raw: Mapping[str, Any]) -> dict[str, Upstream]:
    if unknown := set(raw) - set(TABLES):
        raise ValueError(f"unknown field `{min(unknown)}`: expected {', '.join(TABLES)}")
    distro = raw.get("distro")
    if not isinstance(distro, str) or not distro:
        raise ValueError("distro: expected a string such as \"debian\"")
    if not re.fullmatch("[a-z0-9]+", distro):
        raise ValueError(f"distro {distro!r} is not of the form debian: a-z and 0-9")
    if distro != path.stem:
        raise ValueError(f"distro is {distro}; call it {distro}.toml")
    if not isinstance(raw.get("title", ""), str):
        raise ValueError("title: expected a string")
    keys = _table(raw, "keys", Key)
    boots = _table(raw, "boot", Boot)
    fixes = _table(raw, "fixes", Fix)
    images = raw.get("image")
    if not isinstance(images, list) or not images:
        raise ValueError("image: expected at least one [[image]]")
    found: dict[str, Upstream] = {}
    for number, one in enumerate(images, 1):
        cell = one.get("cell") if isinstance(one, dict) else None
        entry = _convert(one, Entry, str(cell or f"image number {number}"))
        if not entry.cell.startswith(f"{distro}-"):
            raise ValueError(f"{entry.cell}: expected a cell of {distro}")
        if entry.cell in found:
            raise ValueError(f"{entry.cell}: there are two of it")
        signature = entry.latest.signature if entry.latest else None
        upstream = found[entry.cell] = Upstream(
            entry=entry,
            boot=_named(boots, "boot", entry.boot, entry.cell),
            fixes=tuple(_named(fixes, "fixes", name, entry.cell) for name in entry.fixes),
            key=_named(keys, "keys", signature.key, entry.cell) if signature else None,
            path=path,
        )
        fitting.check(entry, upstream.boot, upstream.fixes)
    _used("boot", boots, (one.entry.boot for one in found.values()))
    _used("fixes", fixes, (name for one in found.values() for name in one.entry.fixes))
    _used("keys", keys, (
        one.entry.latest.signature.key for one in found.values()
        if one.entry.latest and one.entry.latest.signature
    ))  # fmt: skip
    return found


def _used(table: str, there: Iterable[str], named: Iterable[str]) -> None:
    if unused := set(there).difference(named):
        raise ValueError(f"[{table}.{min(unused)}] is used by no image")


def _table(raw: Mapping[str, Any], table: str, kind: type[Kind]) -> dict[str, Kind]:
    items = raw.get(table, {})
    if not isinstance(items, dict):
        raise ValueError(f"{table}: expected tables [{table}.NAME]")
    return {name: _convert(item, kind, f"{table}.{name}") for name, item in items.items()}


def _convert(raw: object, kind: type[Kind], place: str) -> Kind:
    try:
        return document.convert(raw, kind)
    except ValueError as exc:
        raise ValueError(f"{place}: {exc}") from None


def _named(table: Mapping[str, Kind], kind: str, name: str, cell: str) -> Kind:
    if name not in table:
        known = ", ".join(table) or "none"
        raise ValueError(f"{cell}: there is no [{kind}.{name}]: expected one of: {known}")
    return table[name]
