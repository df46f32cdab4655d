"""From what two guests look like to what may be at fault on one.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from harness.guest.capabilities import xattr_text
from harness.guest.facts import Facts

_XATTR = re.compile("file capabilities ([0-9a-f]+)")
_NOT_TOLD = {"binaries", "daemon_json"}  # the look itself tells them better


@dataclass(frozen=True)
class Thing:
    """One thing on a guest: two guests differ in it where ``value`` does; ``odd``: remarkable by
    itself."""

    text: str
    value: str
    odd: bool


Look = Mapping[str, Thing]


def look(seen: Sequence[Sequence[Any]]) -> Look:
    """What the collector printed.  Of several with one key the last one counts."""
    return {
        key: Thing(_XATTR.sub(_named, text), str(rest[0]) if rest else text, bool(odd))
        for key, text, odd, *rest in seen
    }


def _named(match: re.Match[str]) -> str:
    return f"file capabilities {xattr_text(bytes.fromhex(match.group(1)))}"


def suspects(here: Look, healthy: Look | None) -> tuple[str, ...]:
    """What is on a guest that may be at fault: what differs from the *healthy* one, and without
    one to compare with what is odd by itself.  The odd comes first."""
    if healthy is None:
        return tuple(thing.text for thing in here.values() if thing.odd)
    told = []
    for key, thing in here.items():
        if not thing.odd and _of_another(key, healthy):
            continue
        before = healthy.get(key)
        if before is None:
            told.append((not thing.odd, thing.text))
        elif before.value != thing.value:
            told.append((not thing.odd, f"{thing.text} (healthy: {_short(before, thing)})"))
    told += [
        (True, f"gone: {thing.text}")
        for key, thing in healthy.items()
        if key not in here and not _of_another(key, here)
    ]
    return tuple(dict.fromkeys(text for _, text in sorted(told, key=lambda item: item[0])))


def later(above: Look, below: Look) -> Look:
    """What a guest at a state *above* has that it had not, or had otherwise, at the one *below*."""
    return {
        key: thing
        for key, thing in above.items()
        if (before := below.get(key)) is None or before.value != thing.value
    }


def _of_another(key: str, there: Look) -> bool:
    """Whether *key* is a detail of a thing that *there* has not: the thing itself says it all."""
    thing, detail, _ = key.partition("\t")
    return bool(detail) and thing not in there


def _short(before: Thing, after: Thing) -> str:
    """The healthy text without what both say."""
    if before.text == after.text:
        return "other content"
    new, old = after.text.split(" "), before.text.split(" ")
    while len(old) > 1 and new[:1] == old[:1]:
        new, old = new[1:], old[1:]
    return " ".join(old)


def facts(here: Facts, healthy: Facts) -> tuple[str, ...]:
    """The facts that the two guests do not share, in words."""
    told = []
    for field in fields(Facts):
        after, before = getattr(here, field.name), getattr(healthy, field.name)
        if after == before or field.name in _NOT_TOLD:
            continue
        if field.name == "packages":
            told += [
                f"the package {name} is {_version(after, name)} (healthy: {_version(before, name)})"
                for name in sorted({*after, *before})
                if after.get(name) != before.get(name)
            ]
        elif isinstance(after, Mapping) and isinstance(before, Mapping):
            told += [
                f"{name} is {after.get(name)} (healthy: {before.get(name)})"
                for name in sorted({*after, *before})
                if after.get(name) != before.get(name)
            ]
        elif isinstance(after, frozenset) and isinstance(before, frozenset):
            less, more = " ".join(sorted(before - after)), " ".join(sorted(after - before))
            told += [f"{field.name} without {less}"] if less else []
            told += [f"{field.name} with {more}"] if more else []
        else:
            told.append(f"{field.name} is {_plain(after)} (healthy: {_plain(before)})")
    return tuple(told)


def _version(packages: Mapping[str, str], name: str) -> str:
    return packages.get(name) or "not installed"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return str(value)
