"""Reading the TOML files of this room, and telling everything that is wrong with one at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness import toml
from harness.errors import UsageError

Complain = Callable[[str, str], None]  # field, what is wrong with it


class Problems:
    """Collects complaints, each naming file, entry and field."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []

    def of(self, kind: str, number: int, entry: Mapping[str, Any]) -> Complain:
        """A function that files complaints about one entry."""
        name = entry.get("id")
        label = f"{kind} {number}" + (f" ({name})" if isinstance(name, str) and name else "")

        def complain(field: str, what: str) -> None:
            self.lines.append(f"{self.path}: {toml.shown(f'{label}: {field}: {what}')}")

        return complain

    def raise_if_any(self) -> None:
        """One :class:`UsageError` with every complaint, or nothing."""
        if self.lines:
            raise UsageError("\n".join(self.lines), hint=f"correct {self.path}")


def read_toml(path: Path, kind: str) -> list[dict[str, Any]]:
    """The ``[[kind]]`` entries of a TOML file."""
    try:
        data = toml.read(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    entries = data.pop(kind, [])
    if data:
        extra = ", ".join(sorted(data))
        raise toml.refused(path, f"unknown top-level {extra}; entries are written as [[{kind}]]")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise UsageError(f"{path}: {kind}: entries are written as [[{kind}]]")
    return entries


def text(
    entry: Mapping[str, Any], name: str, complain: Complain, *, required: bool = True
) -> str:
    """A field that must be text; "" after a complaint."""
    value = entry.get(name, "")
    if not isinstance(value, str):
        complain(name, f"must be text, not {value!r}")
        return ""
    if required and not value.strip():
        complain(name, "is missing")
    return value
