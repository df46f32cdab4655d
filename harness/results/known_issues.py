"""Known issues: deviations somebody has already reported, read from known_issues.toml."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from harness.paths import project
from harness.results.ledger import LEDGER, Claim, load_ledger
from harness.results.model import Value
from harness.results.tables import Complain, Problems, read_toml, text
from harness.results.versions import in_range

KNOWN = project() / "scenarios" / "known_issues.toml"
_REQUIRED = ("id", "claim", "cells", "pattern", "summary", "review", "cause")
_OPTIONAL = ("aspect", "engine", "link")


@dataclass(frozen=True)
class KnownIssue:
    """One reported deviation, and where it is expected to be met."""

    id: str
    claim: str
    cells: tuple[str, ...]  # globs over cell ids
    pattern: str  # regular expression, searched in the observed value and in the evidence
    summary: str
    review: date  # look again after this day
    cause: str
    aspect: str = ""  # empty: any aspect of the claim
    engine: SpecifierSet | None = None  # None: every engine version
    link: str = ""

    def covers_cell(self, cell_id: str) -> bool:
        """Whether the issue names this cell, at whatever engine version.

        A cell booted in a mode of its own has the same packages: the id without it counts too.
        """
        names = (cell_id, re.sub(r"\+[^/]+", "", cell_id))
        return any(fnmatchcase(name, glob) for glob in self.cells for name in names)

    def covers(self, cell_id: str, engine_version: str) -> bool:
        """Whether the issue names this cell at this engine version."""
        return self.covers_cell(cell_id) and in_range(engine_version, self.engine)

    def names(self, claim: str, aspect: str) -> bool:
        """Whether the issue may excuse a row of this claim and aspect."""
        return self.claim == claim and self.aspect in ("", aspect)

    def seen_in(self, observed: Value, evidence: str) -> bool:
        """Whether the symptom shows, in the value or in what the guest said."""
        value = "" if observed is None else str(observed)
        return any(re.search(self.pattern, said) for said in (value, evidence))

    def due(self, today: date) -> bool:
        """Whether the review date has passed."""
        return self.review < today


def load_known_issues(path: Path, *, claims: Collection[str]) -> tuple[KnownIssue, ...]:
    """The issues of a file, in its order.  ``claims`` are the ids of the ledger.

    Everything wrong with the file is told at once: one :class:`~harness.errors.UsageError`, one
    line a problem.
    """
    problems = Problems(path)
    issues: list[KnownIssue] = []
    seen: set[str] = set()
    for number, entry in enumerate(read_toml(path, "issue"), 1):
        complain = problems.of("issue", number, entry)
        for name in sorted(set(entry) - {*_REQUIRED, *_OPTIONAL}):
            complain(name, "is not a field of a known issue: "
                           f"{', '.join((*_REQUIRED, *_OPTIONAL))}")  # fmt: skip
        id_ = text(entry, "id", complain)
        if id_ and id_ in seen:
            complain("id", f"{id_!r} is used twice")
        seen.add(id_)
        claim = text(entry, "claim", complain)
        if claim and claim not in claims:
            complain("claim", f"there is no claim {claim!r} in the ledger")
        issue = KnownIssue(
            id=id_,
            claim=claim,
            cells=_globs(entry, complain),
            pattern=_pattern(entry, complain),
            summary=text(entry, "summary", complain),
            review=_day(entry, complain),
            cause=text(entry, "cause", complain),
            aspect=text(entry, "aspect", complain, required=False),
            engine=_range(entry, complain),
            link=text(entry, "link", complain, required=False),
        )
        issues.append(issue)
    problems.raise_if_any()
    return tuple(issues)


def documents() -> tuple[dict[str, Claim], tuple[KnownIssue, ...]]:
    """The project's ledger and known issues.  Raises UsageError where one is broken."""
    claims = load_ledger(LEDGER)
    return claims, load_known_issues(KNOWN, claims=claims)


def _globs(entry: Mapping[str, Any], complain: Complain) -> tuple[str, ...]:
    value = entry.get("cells")
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
        complain("cells", 'must be a list of globs over cell ids, for example ["debian-*/x86_64"]')
        return ()
    return tuple(value)


def _pattern(entry: Mapping[str, Any], complain: Complain) -> str:
    pattern = text(entry, "pattern", complain)
    try:
        if pattern and re.search(pattern, ""):
            complain("pattern", f"{pattern!r} matches empty text, so it would excuse any failure")
    except (re.error, OverflowError, RecursionError) as error:
        complain("pattern", f"{pattern!r} is not a regular expression: {error}")
    return pattern


def _day(entry: Mapping[str, Any], complain: Complain) -> date:
    value = entry.get("review")
    if value is None:
        complain("review", "is missing")
    elif isinstance(value, datetime) or not isinstance(value, date | str):
        complain("review", f"{value!s} is not a date; write 2027-01-31")
    elif isinstance(value, date):
        return value
    else:
        try:
            return date.fromisoformat(value)
        except ValueError:
            complain("review", f"{value!r} is not a date; write 2027-01-31")
    return date.min


def _range(entry: Mapping[str, Any], complain: Complain) -> SpecifierSet | None:
    spec = text(entry, "engine", complain, required=False)
    if not spec:
        return None
    try:
        return SpecifierSet(spec)
    except InvalidSpecifier:
        complain("engine", f'{spec!r} is not a version range; write ">=20.10,<23"')
        return None
