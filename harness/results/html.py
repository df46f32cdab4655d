"""The report of a run as one HTML file that loads nothing and runs nothing.

What guests said is escaped by the template (autoescape), and stripped of control characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import jinja2

from harness.results.grid import columns_of, entries_of, headers_of
from harness.results.known_issues import KnownIssue
from harness.results.ledger import TITLES, Claim, claim_order
from harness.results.model import Row, Verdict
from harness.results.run import Run
from harness.results.summary import SEVERITY, counts, merge
from harness.results.text import printable

TEMPLATE = "report.html"


@dataclass(frozen=True)
class Look:
    """A sign beside the colour: nobody has to tell colours apart.  Okabe and Ito's palette."""

    sign: str
    colour: str


LOOKS = {
    Verdict.HOLDS: Look("✓", "#009e73"),
    Verdict.VIOLATED: Look("✗", "#d55e00"),
    Verdict.DRIFT: Look("Δ", "#cc79a7"),
    Verdict.FLAKY: Look("≈", "#e69f00"),
    Verdict.KNOWN_ISSUE: Look("!", "#56b4e9"),
    Verdict.FIXED: Look("★", "#0072b2"),
    Verdict.NOT_APPLICABLE: Look("–", "#999999"),
    Verdict.UNSUPPORTED: Look("∅", "#999999"),
    Verdict.TESTBED_ERROR: Look("⚠", "#f0e442"),
}


@dataclass(frozen=True)
class Line:
    """A claim of the matrix, with the worst verdict and its share for each cell."""

    id: str
    text: str
    title: str  # of its document
    entries: tuple[tuple[str, Verdict] | None, ...]
    rows: tuple[Row, ...]


def render_html(
    run: Run,
    *,
    claims: Mapping[str, Claim],
    issues: Sequence[KnownIssue],
    today: date,
    directory: str = "",
) -> str:
    """The whole document."""
    rows = sorted(
        merge(run.rows), key=lambda r: (SEVERITY.index(r.verdict), claim_order(r.claim), r.cell)
    )
    decided = [row for row in rows if row.verdict is not Verdict.UNSUPPORTED]
    cells = columns_of(run, decided)
    times = counts(run.rows)
    return _environment().get_template(TEMPLATE).render(
        run=run, directory=directory, looks=LOOKS, verdicts=Verdict, claims=claims,
        cells=cells, headers=headers_of(run, cells), lines=_lines(decided, cells, claims),
        totals=[(verdict, times[verdict]) for verdict in SEVERITY if times[verdict]],
        findings=[row for row in rows if row.verdict.finding],
        broken=[row for row in rows if row.verdict is Verdict.TESTBED_ERROR],
        issues=_issues(rows, issues, today),
        skipped=_skipped(rows),
        absent=[cell for cell in run.cells if cell.status != "available"],
    )  # fmt: skip


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )


def _clean(value: object) -> object:
    """Control characters out of everything but what a macro of the template has made."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _lines(
    rows: Sequence[Row], cells: Sequence[str], claims: Mapping[str, Claim]
) -> list[Line]:
    entries = entries_of(rows)
    found = []
    for name in sorted({row.claim for row in rows}, key=claim_order):
        claim = claims.get(name)
        found.append(Line(
            name or "set-up",
            claim.text if claim else "",
            TITLES[claim.document] if claim else "not in the ledger",
            tuple(entries.get((name, cell)) for cell in cells),
            tuple(row for row in rows if row.claim == name),
        ))  # fmt: skip
    return found


@dataclass(frozen=True)
class Met:
    """A known issue that this run met, or saw fixed.  ``link`` is empty unless it is of the web."""

    id: str
    verdict: Verdict
    summary: str
    link: str
    due: str
    rows: tuple[Row, ...]


def _issues(rows: Iterable[Row], issues: Sequence[KnownIssue], today: date) -> list[Met]:
    known = {issue.id: issue for issue in issues}
    groups: dict[tuple[Verdict, str], list[Row]] = {}
    for row in rows:
        if row.verdict in (Verdict.KNOWN_ISSUE, Verdict.FIXED):
            groups.setdefault((row.verdict, row.note), []).append(row)
    met = []
    for (verdict, name), group in groups.items():
        issue = known.get(name)
        link = issue.link if issue and issue.link.startswith(("https://", "http://")) else ""
        due = f"due for review since {issue.review}" if issue and issue.due(today) else ""
        met.append(Met(name, verdict, issue.summary if issue else "", link, due, tuple(group)))
    return met


def _skipped(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.verdict is Verdict.NOT_APPLICABLE:
            groups.setdefault(row.note or row.because, []).append(row)
    return list(groups.items())
