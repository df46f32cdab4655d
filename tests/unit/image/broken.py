"""Every way to break a file of data: one field after the other."""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

Path_ = tuple[str | int, ...]
# What a value of another type looks like.
OTHER: dict[type, Any] = {str: 7, int: "7", bool: "yes", list: "text", dict: "text"}
# What must not come out as it is, if it is refused.
ODD = ("\x1b[31mred", "two\nlines", "\u202egnp.exe")


@dataclass(frozen=True)
class Broken:
    """``doc`` with the field at ``path`` changed ``how``.  ``refused`` says whether it must be;
    an empty value need not be where it means something."""

    how: str
    path: Path_
    doc: dict[str, Any]
    refused: bool

    @property
    def key(self) -> str:
        """The name to be found in the message: of the field, or of what was put there."""
        if self.how == "unknown":
            return "shoe"
        return next(str(step) for step in reversed(self.path) if isinstance(step, str))

    def __str__(self) -> str:
        return f"{self.how} {'.'.join(map(str, self.path))}"


@dataclass(frozen=True)
class Field:
    """A place in a document.  ``table``: the Struct there, if it is one; ``required``: it cannot
    be left out."""

    path: Path_
    value: Any
    table: type[msgspec.Struct] | None
    required: bool


def fields(doc: Any, kind: Any, path: Path_ = (), required: bool = True) -> Iterator[Field]:
    """Every place in *doc*, which is of the type *kind*."""
    kind = _plain(kind)
    table = kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
    yield Field(path, doc, table, required)
    if table:
        for field in msgspec.structs.fields(table):
            if field.name in doc:
                yield from fields(doc[field.name], field.type, (*path, field.name), field.required)
    elif isinstance(doc, dict) and (inner := typing.get_args(kind)[1]) is not Any:
        for key, value in doc.items():
            yield from fields(value, inner, (*path, key), False)
    elif isinstance(doc, list):
        inner = typing.get_args(kind)[0]
        for number, value in enumerate(doc):
            yield from fields(value, inner, (*path, number), False)


def every(
    doc: dict[str, Any], kind: Any, may_be_empty: frozenset[str] = frozenset(),
    whole: bool = True,
) -> Iterator[Broken]:  # fmt: skip
    """*doc* of the type *kind*, broken in each way that makes sense.  ``may_be_empty``: fields,
    and ``TABLE.*`` for all of a table.  Where it is not ``whole``, another file has the rest."""
    for field in fields(doc, kind):
        if field.table:
            yield _changed("unknown", doc, (*field.path, "shoe"), 1, True)
        if not field.path:
            continue
        named = isinstance(field.path[-1], str)
        if named and field.required:
            yield _without(doc, field.path, whole)
        value = field.value
        yield _changed("wrong type", doc, field.path, OTHER[type(value)], True)
        if value and isinstance(value, (str, list, dict)) and named:
            names = {field.path[-1], f"{field.path[-2]}.*" if field.path[1:] else ""}
            refused = whole and not names & may_be_empty
            yield _changed("empty", doc, field.path, type(value)(), refused)
        if isinstance(value, str) and not named:
            yield _changed("empty element", doc, field.path, "", True)
        if isinstance(value, int) and not isinstance(value, bool):
            for number in (0, -1, 10**30):
                yield _changed(f"number {number:.0e}", doc, field.path, number, True)
        for odd in (ODD if isinstance(value, str) else ()):
            yield _changed(f"odd {odd!r}", doc, field.path, odd, False)
        if isinstance(value, str) and value.startswith(("https://", "http://")):
            for url in ("ftp://host.example/x", "https://", "nonsense", "https://a b.example/",
                        "https://u:p@host.example/"):  # fmt: skip
                yield _changed(f"URL {url}", doc, field.path, url, True)
        if isinstance(value, str) and value.startswith(("sha256:", "sha512:")):
            for digest in (value[:-1], f"{value}0", value.upper(), value[7:], f"md5:{value[7:]}"):
                yield _changed(f"digest {digest[:12]}", doc, field.path, digest, True)


def _plain(kind: Any) -> Any:
    """``X`` of ``X | None``."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        (kind,) = [one for one in typing.get_args(kind) if one is not type(None)]
    return kind


def _changed(
    how: str, doc: dict[str, Any], path: Path_, value: Any, refused: bool
) -> Broken:
    new = copy.deepcopy(doc)
    at: Any = new
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return Broken(how, path, new, refused)


def _without(doc: dict[str, Any], path: Path_, refused: bool) -> Broken:
    broken = _changed("missing", doc, path, None, refused)
    at: Any = broken.doc
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return broken
