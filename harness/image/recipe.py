"""Recipes: what an image is built from, written down in ``images/*.toml``."""

from __future__ import annotations

import hashlib
import platform
import re
from pathlib import Path
from typing import Any

import msgspec

from harness import paths, toml
from harness.errors import UsageError
from harness.image import document
from harness.matrix import ARCHES

# Raise it when the builder would make something else of the same recipe; the other one, when it
# would for another architecture than this machine's.
SCHEMA = 1
FOREIGN_SCHEMA = 1
LARGEST_GIB = 256  # of a disk

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*(/[a-z0-9.+-]+)?")  # perhaps of another suite
_WORD = re.compile(r"[a-z0-9][a-z0-9.+_-]*")  # a suite, a component, an architecture
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@\\-]*\.[a-z]+")


def _named(field: str, kind: str, form: re.Pattern[str], *names: str) -> None:
    """Raise ValueError for a name that a tool would take for an option, or for several."""
    for name in names:
        if not form.fullmatch(name):
            raise ValueError(f"{field}: {name!r} is no name of {kind}")


class Arch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one architecture is called in the distro, and how its kernel is booted."""

    debian: str
    kernel: str
    cmdline: str

    def __post_init__(self) -> None:
        document.filled(self, "debian", "kernel")
        _named("debian", "an architecture", _WORD, self.debian)
        _named("kernel", "a package", _PACKAGE, self.kernel)
        if not self.cmdline.isprintable():
            raise ValueError(f"cmdline {self.cmdline!r} is not one plain line")


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file written into the root, owned by root.  An empty ``link`` means ``content``."""

    path: str
    content: str = ""
    mode: str = "0644"
    link: str = ""

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or ".." in self.path.split("/"):
            raise ValueError(f"path {self.path!r} is not absolute")
        if self.path.rpartition("/")[2] in ("", ".") or not self.path.isprintable():
            raise ValueError(f"path {self.path!r} is not that of a file")
        if "\0" in self.content or not self.link.isprintable():
            raise ValueError(f"{self.path}: content or link holds what no file does")
        if self.link and (self.content or self.mode != "0644"):
            raise ValueError(f"{self.path}: a link has neither content nor mode")
        if not re.fullmatch("0[0-7]{3}", self.mode):
            raise ValueError(f"mode {self.mode!r} is not of the form \"0644\"")


class Packages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``include`` is installed; ``preload`` and its dependencies are only downloaded."""

    include: tuple[str, ...]
    preload: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        document.filled(self, "include", elements=("preload",))
        _named("include", "a package", _PACKAGE, *self.include)
        _named("preload", "a package", _PACKAGE, *self.preload)


class Units(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mask: tuple[str, ...] = ()
    enable: tuple[str, ...] = ()  # wanted by multi-user.target

    def __post_init__(self) -> None:
        document.filled(self, elements=("mask", "enable"))
        _named("mask", "a unit", _UNIT, *self.mask)
        _named("enable", "a unit", _UNIT, *self.enable)


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    distro: str
    release: str
    suite: str
    disk_gib: int
    arch: dict[str, Arch]
    packages: Packages
    components: tuple[str, ...] = ("main",)
    files: tuple[File, ...] = ()
    apt_options: tuple[str, ...] = ()  # lines of apt.conf, in force while the image is built
    omit: tuple[str, ...] = ()  # patterns of paths left out of the root
    units: Units = Units()
    cloud: dict[str, Any] = {}  # /etc/cloud/cloud.cfg.d

    def __post_init__(self) -> None:
        document.filled(self, "distro", "release", "suite", "components", "arch",
                    elements=("apt_options", "omit"))  # fmt: skip
        _named("suite", "a suite", _WORD, self.suite)
        _named("components", "a component", _WORD, *self.components)
        if not 1 <= self.disk_gib <= LARGEST_GIB:
            raise ValueError(f"disk_gib {self.disk_gib} is not a number of GiB from 1 to"
                             f" {LARGEST_GIB}")  # fmt: skip
        if unknown := set(self.arch) - set(ARCHES):
            raise ValueError(
                f"arch.{min(unknown)}: no such architecture; known: {', '.join(ARCHES)}"
            )

    @property
    def name(self) -> str:
        return f"{self.distro}-{self.release}"

    def on(self, arch: str) -> Arch:
        if arch not in self.arch:
            known = ", ".join(sorted(self.arch))
            raise UsageError(f"no recipe for {self.name}/{arch}; {self.name} is built for: {known}",
                             command="harness matrix")
        return self.arch[arch]

    def cell(self, arch: str) -> str:
        return f"{self.name}/{arch}"

    def hash(self, arch: str) -> str:
        """Changes whenever anything that the image is made of does."""
        content = msgspec.to_builtins(self) | {"arch": msgspec.to_builtins(self.on(arch))}
        foreign = [] if arch == platform.machine() else ["foreign", FOREIGN_SCHEMA]
        text = msgspec.json.encode([SCHEMA, arch, content, *foreign], order="deterministic")
        return hashlib.sha256(text).hexdigest()


def folder() -> Path:
    return paths.project() / "images"


def names(where: Path | None = None) -> list[str]:
    return sorted(path.stem for path in (where or folder()).glob("*.toml"))


def load(name: str, where: Path | None = None) -> Recipe:
    """The recipe ``images/NAME.toml``; anything wrong with it is one line that says where.

    A recipe that ``extends`` another says only what differs: its tables are merged, its other
    values replace those of the other.
    """
    path = (where or folder()) / f"{name}.toml"
    table = _read(name, where)
    if (parent := table.pop("extends", None)) is not None:
        if not isinstance(parent, str) or parent == name:
            raise UsageError(f"{path}: extends must name another recipe")
        base = _read(parent, where)
        if "extends" in base:
            raise UsageError(f"{path}: {parent} extends a recipe itself; extend that one")
        load(parent, where)  # a mistake of its own is told of its own file
        table = _merged(base, table)
    try:
        recipe = document.convert(table, Recipe)
    except ValueError as exc:
        raise toml.refused(path, exc) from None
    if recipe.name != path.stem:
        raise toml.refused(path, f"distro and release are those of {recipe.name}; "
                                 f"call it {recipe.name}.toml")  # fmt: skip
    return recipe


def _read(name: str, where: Path | None) -> dict[str, Any]:
    path = (where or folder()) / f"{name}.toml"
    try:
        return toml.read(path)
    except FileNotFoundError:
        known = ", ".join(names(where)) or "none"
        raise UsageError(f"{path}: there is no such file, so no recipe {name!r}; known recipes:"
                         f" {known}", hint=toml.GONE) from None  # fmt: skip


def _merged(base: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in table.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            value = _merged(result[key], value)
        result[key] = value
    return result
