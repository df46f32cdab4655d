"""Each file of data that the project has, broken one field at a time: one line that says where."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.errors import UsageError
from harness.image import recipe
from harness.image.recipe import Recipe
from harness.image.twins import schema
from harness.image.twins.schema import Part, Twin
from harness.image.upstream import catalogue
from harness.image.upstream.schema import Boot, Entry, Fix, Key
from tests.unit.image.broken import Broken, every
from tests.unit.image.upstream.toml import dump

Load = Callable[[Path], object]


class Catalogue(msgspec.Struct):
    """A file of the catalogue as a type; the reader itself goes table by table."""

    distro: str
    image: tuple[Entry, ...]
    keys: dict[str, Key] = {}
    boot: dict[str, Boot] = {}
    fixes: dict[str, Fix] = {}
    title: str = ""


# Where nothing means: none, the usual one, or where it is anyway.
MAY_BE_EMPTY = {
    Catalogue: {"title", "fixes", "files", "commands", "content", "notes", "unverified", "name",
                "signing"},
    Twin: {"commands", "conflicts", "content", "dead", "debs", "files", "hide", "link", "parts",
           "kernel_arguments", "preinstalled", "requires", "serve", "traits", "version_of"},
    Part: {"take", "files", "post", "replace", "replace.*", "to", "content"},
    Recipe: {"cmdline", "apt_options", "omit", "files", "preload", "units", "mask", "enable",
             "cloud", "content"},
}  # fmt: skip


def problems(kind: Any, path: Path, load: Load, where: Path) -> list[str]:
    """Of each way to break the file *path*: what is wrong with what was said of it."""
    doc = tomllib.loads(path.read_text())
    found = []
    may = frozenset(MAY_BE_EMPTY[Part if kind == dict[str, Part] else kind])
    for broken in every(doc, kind, may, whole="extends" not in doc):
        copied = where / path.name
        copied.write_text(dump(broken.doc))
        found += [f"{broken}: {wrong}" for wrong in _of(broken, copied, load)]
    shutil.copy(path, where)
    return found


def _of(broken: Broken, path: Path, load: Load) -> list[str]:
    try:
        load(path)
    except UsageError as error:
        said = str(error)
        wrong = [] if said.startswith(f"{path}: ") else [f"does not begin with the file: {said}"]
        if not said.isprintable():
            wrong.append(f"is not one plain line: {said}")
        if broken.how == "unknown" and "expected" not in said:
            wrong.append(f"does not say what is allowed: {said}")
        if broken.key not in said.removeprefix(f"{path}: "):
            wrong.append(f"does not name {broken.key}: {said}")
        return wrong
    except Exception as error:  # what a user would see as a traceback
        return [f"{type(error).__name__}: {error}"]
    return ["is accepted"] if broken.refused else []


def beside_others(folder: Path, name: str, scratch: Path) -> Path:
    """The file *name*; *scratch* gets all of *folder*, which the broken one may refer to."""
    for one in folder.glob("*.toml"):
        shutil.copy(one, scratch)
    return folder / f"{name}.toml"


@pytest.mark.parametrize("path", sorted(catalogue.folder().glob("*.toml")), ids=lambda p: p.stem)
def test_the_catalogue(path: Path, tmp_path: Path) -> None:
    assert problems(Catalogue, path, catalogue.load, tmp_path) == []


@pytest.mark.parametrize("name", schema.names())
def test_twins(name: str, tmp_path: Path) -> None:
    path = beside_others(schema.folder(), name, tmp_path)
    assert problems(Twin, path, lambda p: schema.load(p.stem, p.parent), tmp_path) == []


def test_the_parts_of_twins(tmp_path: Path) -> None:
    path = schema.folder() / f"{schema.PARTS}.toml"
    assert problems(dict[str, Part], path, lambda p: schema.parts(p.parent), tmp_path) == []


@pytest.mark.parametrize("name", recipe.names())
def test_recipes(name: str, tmp_path: Path) -> None:
    path = beside_others(recipe.folder(), name, tmp_path)
    assert problems(Recipe, path, lambda p: recipe.load(p.stem, p.parent), tmp_path) == []
