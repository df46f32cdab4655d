"""Twins written down: ``images/twins/NAME.toml``, and the parts that their packages are made of.

A twin is a base (one of our Debian images) with another distro's package manager, packages under
that distro's names, and the traits that the distro is documented to have before anything is done
about them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import msgspec

from harness import paths, toml
from harness.errors import UsageError
from harness.image import document, recipe
from harness.image.recipe import File

PARTS = "parts"
FORMATS = ("rpm", "pacman", "deb")
_NAME = re.compile(r"[a-z0-9][a-z0-9.+_-]*")
Document = TypeVar("Document")


class Take(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files out of Debian packages.  ``debs`` and ``paths`` are globs; ``to`` ends with a slash
    (a directory), is a path (of the one file), or is empty (where Debian has it).  ``replace``
    changes the text of the files.  Nothing found is an error, unless it is ``optional``: what
    one suite has in a package of its own another has elsewhere."""

    debs: tuple[str, ...]
    paths: tuple[str, ...]
    to: str = ""
    replace: dict[str, str] = {}
    optional: bool = False

    def __post_init__(self) -> None:
        document.filled(self, "debs", "paths")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files that go together.  ``post`` are lines for sh, run after the installation."""

    take: tuple[Take, ...] = ()
    files: tuple[File, ...] = ()
    post: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        document.filled(self, elements=("post",))
        if not (self.take or self.files or self.post):
            raise ValueError("a part does something: expected take, files or post")


class TwinPackage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A package under the distro's name.  ``version_of`` is the Debian package whose upstream
    version it truly has; empty for a name without contents, of version 0."""

    name: str
    version_of: str
    summary: str
    parts: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        document.filled(self, "summary", elements=("parts", "requires", "conflicts"))
        for field, names in (
            ("name", (self.name,)), ("requires", self.requires), ("conflicts", self.conflicts),
        ):  # fmt: skip
            for name in names:
                if not _NAME.fullmatch(name):
                    raise ValueError(f"{field}: {name!r} is no name of a package")
        if not self.summary.isprintable() or "%" in self.summary:
            raise ValueError(f"the summary of {self.name} is not one plain line")


class Tools(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The package manager.  ``debs`` bring it, and whatever else the distro has from the start;
    ``commands`` are names for a program of theirs, ``hide`` those that the distro lacks."""

    manager: str
    debs: tuple[str, ...]
    commands: dict[str, str] = {}
    hide: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        document.filled(self, "manager", elements=("debs", "commands", "hide"))


class Repository(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the guest finds its packages.  With ``serve`` (a host's name and a path, as in the
    distro's own configuration) they are reached over HTTP under that name only, through a proxy
    in the guest, port 3128, and it is for ``files`` to name both; ``dead`` are names that
    answer nothing."""

    format: str
    release: str  # of every package
    serve: str = ""
    dead: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        document.filled(self, elements=("dead",))
        if self.format not in FORMATS:
            raise ValueError(f"format {self.format!r} is none of: {', '.join(FORMATS)}")
        if not re.fullmatch(r"[a-z0-9.]+", self.release):
            raise ValueError(f"release {self.release!r} is no release of a package")


LABEL = "VARIANT_ID=twin"  # Facts.twin reads it


class Twin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``traits`` are induced when the state `booted` is made, in this order;
    ``kernel_arguments`` are those that the base is booted with."""

    distro: str
    release: str
    base: str  # the recipe
    os_release: str
    tools: Tools
    repository: Repository
    package: tuple[TwinPackage, ...]
    preinstalled: tuple[str, ...] = ()  # of these packages
    kernel_arguments: str = ""
    files: tuple[File, ...] = ()
    traits: dict[str, str] = {}

    def __post_init__(self) -> None:
        document.filled(self, "distro", "release", "base", "os_release", "package",
                    elements=("preinstalled", "traits"))  # fmt: skip
        if LABEL not in self.os_release.splitlines():
            raise ValueError(f"os_release has no line {LABEL}: a twin says that it is one")

    @property
    def name(self) -> str:
        return f"{self.distro}-{self.release}"


def folder() -> Path:
    return paths.project() / "images" / "twins"


def names(where: Path | None = None) -> list[str]:
    return sorted(path.stem for path in (where or folder()).glob("*.toml") if path.stem != PARTS)


def load(name: str, where: Path | None = None) -> Twin:
    """The twin ``images/twins/NAME.toml``; anything wrong with it is one line that says where."""
    path = (where or folder()) / f"{name}.toml"
    twin = _convert(path, Twin)
    if twin.name != path.stem:
        raise toml.refused(path, f"distro and release are those of {twin.name}; "
                                 f"call it {twin.name}.toml")  # fmt: skip
    if twin.base not in recipe.names():
        raise toml.refused(path, f"base: there is no recipe {twin.base!r}; "
                                 f"known recipes: {', '.join(recipe.names())}")  # fmt: skip
    known = parts(where)
    here = {package.name for package in twin.package}
    for package in twin.package:
        for part in package.parts:
            if part not in known:
                raise toml.refused(path, f"package {package.name}: there is no part {part!r}; "
                                         f"known parts: {', '.join(known)}")  # fmt: skip
        if twin.repository.format == "deb":
            continue  # beside the base's own packages, which may be required as well
        for required in package.requires:
            if required not in here:
                raise toml.refused(path, f"package {package.name} requires {required}, "
                                         "which is not among the packages")  # fmt: skip
    if missing := set(twin.preinstalled) - here:
        raise toml.refused(path, f"preinstalled is {', '.join(sorted(missing))}, no package of it")
    return twin


def parts(where: Path | None = None) -> dict[str, Part]:
    """All parts, by name."""
    return _convert((where or folder()) / f"{PARTS}.toml", dict[str, Part])


def _convert(path: Path, kind: type[Document]) -> Document:
    try:
        return document.convert(toml.read(path), kind)
    except FileNotFoundError:
        known = ", ".join(names(path.parent)) or "none"
        lacking = f"no twin {path.stem!r}; known twins: {known}"
        if path.stem == PARTS:
            lacking = "nothing to make the packages of twins of"
        raise UsageError(f"{path}: there is no such file, so {lacking}",
                         hint=toml.GONE) from None  # fmt: skip
    except ValueError as exc:
        raise toml.refused(path, exc) from None
