"""Files of data: read, and converted into what they describe.  A mistake names its place."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.errors import UsageError

Document = TypeVar("Document")
_STEP = re.compile(r"\.([^.\[\]`]+)|\[(\d+)\]")
_SOME_KEY = "[...]"  # what msgspec calls a key of a table whose keys are free


def read(path: Path) -> dict[str, Any]:
    """The tables of *path*.

    Raises :class:`UsageError`, one line, for what is no TOML or cannot be read, and lets
    :class:`FileNotFoundError` pass.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path}: not valid TOML: {exc}") from None
    except OSError as exc:
        raise UsageError(f"{path}: cannot be read: {exc.strerror or exc}") from None


def convert(raw: Any, kind: type[Document]) -> Document:
    """*raw* as a *kind*; :class:`ValueError`, one line, names the field."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as exc:
        raise ValueError(_located(str(exc), raw, kind)) from None


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
