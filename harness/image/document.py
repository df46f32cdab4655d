"""Files of data, converted into what they describe.  A mistake names its place."""

from __future__ import annotations

import copy
import re
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

Document = TypeVar("Document")
_STEP = re.compile(r"\.([^.\[\]`]+)|\[(\d+)\]")
_SOME_KEY = "[...]"  # what msgspec calls a key of a table whose keys are free


def convert(raw: Any, kind: type[Document]) -> Document:
    """*raw* as a *kind*; :class:`ValueError`, one line, names the field."""
    try:
        return msgspec.convert(raw, kind)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except msgspec.ValidationError as exc:
        said = _located(str(exc), raw, kind)
        raise ValueError(f"{said}{_allowed(said, kind)}") from None


def filled(holder: msgspec.Struct, *fields: str, elements: tuple[str, ...] = ()) -> None:
    """Raise ValueError for a field of *fields* that is empty, or if one of its elements is.  Those
    of *elements* may be empty, and have no empty element."""
    for field in (*fields, *elements):
        value = getattr(holder, field)
        if field in fields and not (value.strip() if isinstance(value, str) else value):
            raise ValueError(f"{field} is empty")
        if isinstance(value, str):
            continue
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(part, str) and not part.strip():
                raise ValueError(f"{field}: {key!r} is empty")


def _allowed(said: str, kind: Any) -> str:
    """The fields that there are, where *said* complains of one that there is not."""
    if "unknown field" not in said:
        return ""
    here: inspect.Type | None = inspect.type_info(kind)
    for name, _ in _STEP.findall(said.rpartition(" at `$")[2]):
        here = _inside(here, name)
    if not isinstance(here, inspect.StructType):
        return ""
    return f"; expected: {', '.join(field.encode_name for field in here.fields)}"


def _inside(kind: inspect.Type | None, name: str) -> inspect.Type | None:
    """The type of the field *name* (empty: of any element) of *kind*; None if that is not known."""
    found: inspect.Type | None = None
    if isinstance(kind, inspect.StructType):
        found = next((field.type for field in kind.fields if field.encode_name == name), None)
    elif isinstance(kind, inspect.DictType):
        found = kind.value_type
    elif isinstance(kind, inspect.VarTupleType):
        found = kind.item_type
    if isinstance(found, inspect.UnionType):  # X of X | None
        return next(one for one in found.types if not isinstance(one, inspect.NoneType))
    return found


def _located(said: str, raw: Any, kind: type[Document]) -> str:
    """*said* with the keys that msgspec leaves out: the one that is wrong by itself, too."""
    text = said
    while _SOME_KEY in text:
        before = text[: text.index(_SOME_KEY)].rpartition("$")[2]
        steps = [name or int(number) for name, number in _STEP.findall(before)]
        key = next((key for key in _at(raw, steps) if _said(raw, steps, key, kind) == said), None)
        if key is None:
            break
        text = text.replace(_SOME_KEY, f".{key}", 1)
    return text


def _at(raw: Any, steps: list[Any]) -> dict[str, Any]:
    for step in steps:
        raw = raw[step]
    return raw if isinstance(raw, dict) else {}


def _said(raw: Any, steps: list[Any], key: str, kind: type[Document]) -> str:
    """What is said of *raw* when the table at *steps* has this one *key*."""
    reduced = copy.deepcopy(raw)
    table = _at(reduced, steps)
    alone = table[key]
    table.clear()
    table[key] = alone
    try:
        msgspec.convert(reduced, kind)
    except msgspec.ValidationError as exc:
        return str(exc)
    return ""
