"""The report of a run on a terminal.  docs/verdicts.md explains how to read it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.text import Text

from harness.results.grid import STYLES, short, tables
from harness.results.known_issues import KnownIssue
from harness.results.ledger import Claim, claim_order
from harness.results.model import Row, Verdict
from harness.results.run import Run
from harness.results.summary import SEVERITY, counts, merge
from harness.results.text import one_line, without_control

INTERRUPTED = (2, 3)  # pytest's own statuses: by the user, by a crash of its own
SUSPECTS = 8  # lines; run.json has them all
WIDTH = 120  # without a terminal; a log file has no width of its own


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """What the command line makes of it, and not rich's own status 1: that is a finding."""
        raise BrokenPipeError


def make_console(file: IO[str] | None = None) -> Console:
    """A console for reports: sane without a terminal, plain under NO_COLOR."""
    # rich keeps bold and dim under NO_COLOR; without a colour system it writes no escapes at all.
    plain = bool(os.environ.get("NO_COLOR"))
    console = _Console(
        file=file,
        color_system=None if plain else "auto",
        markup=False,
        highlight=False,
        emoji=False,
    )
    if not console.is_terminal:
        console.width = max(100, console.width if os.environ.get("COLUMNS") else WIDTH)
    return console


def render(
    console: Console,
    run: Run,
    *,
    claims: Mapping[str, Claim],
    issues: Sequence[KnownIssue],
    today: date,
    directory: str = "",
    wrap: bool = False,
) -> None:
    """The matrix, what was skipped, known issues, a broken test bed, findings and totals.

    Findings come late and totals last, next to the prompt.  ``directory`` is where the run is
    kept; the logs of rows are relative to it.  ``wrap`` long lines, for a picture.
    """
    directory = near(directory) if directory else ""
    rows = sorted(
        merge(run.rows), key=lambda r: (SEVERITY.index(r.verdict), claim_order(r.claim), r.cell)
    )
    page = _Page(console, wrap)
    for table in tables(run, rows, claims, console.width):
        console.print(table)
        console.print()
    _skipped(page, run, rows)
    _issues(page, rows, issues, today)
    _broken(page, rows, directory)
    suspected: set[tuple[str, ...]] = set()
    for row in rows:
        if row.verdict.finding:
            _finding(page, row, claims.get(row.claim))
            if row.suspects and row.suspects not in suspected:
                suspected.add(row.suspects)
                _suspects(page, row)
    _totals(page, run, directory)


class _Page:
    """Prints lines that a guest may have had a hand in: no markup, no control characters."""

    def __init__(self, console: Console, wrap: bool) -> None:
        self.console = console
        self._soft = not wrap

    def head(self, verdict: Verdict, *parts: str) -> None:
        said = "  ".join(["", *map(one_line, parts)])
        self._print(Text.assemble((verdict.value, STYLES[verdict]), said))

    def styled(self, word: str, style: str, text: str) -> None:
        self._print(Text.assemble((word, style), f"  {one_line(text)}"))

    def line(self, text: str, *, cut: bool = False) -> None:
        said = " " * (len(text) - len(text.lstrip())) + one_line(text)
        self._print(Text(f"  {short(said, self.console.width - 2) if cut else said}"))

    def command(self, text: str) -> None:
        """Kept as it is: spaces in a command may matter."""
        self._print(Text(f"  reproduce: {without_control(text)}"))

    def plain(self, text: str) -> None:
        self._print(Text(one_line(text)))

    def _print(self, text: Text) -> None:
        # Not wrapped on a terminal: a command must stay one line to be pasted.
        self.console.print(text, soft_wrap=self._soft)


def near(path: str) -> str:
    """``path`` as seen from the current directory, where it is below that."""
    try:
        return str(Path(path).absolute().relative_to(Path.cwd()))
    except (OSError, ValueError):
        return path


def _finding(page: _Page, row: Row, claim: Claim | None) -> None:
    """At most five lines."""
    page.head(row.verdict, row.rule, row.cell, claim.text if claim else row.scenario)
    because = f" because {row.because}" if row.because else ""
    if because or row.expected is not None or row.observed is not None:
        page.line(f"expected {row.expected!r}{because}; observed {row.observed!r}")
    if row.evidence.strip():
        page.line(f"evidence: {row.evidence}", cut=True)
    if row.note or row.next_step:
        page.line("; next: ".join(part for part in (row.note, row.next_step) if part))
    if row.reproduce:
        page.command(row.reproduce)


def _suspects(page: _Page, row: Row) -> None:
    """Once for all findings of a cell that started from the same state."""
    page.line(f"suspects on {row.cell} at state {row.state}:")
    for text in row.suspects[:SUSPECTS]:
        page.line(f"  {text}", cut=True)
    if more := len(row.suspects[SUSPECTS:]):
        page.line(f"  and {more} more, in run.json")


def _broken(page: _Page, rows: Iterable[Row], directory: str) -> None:
    """One entry for each thing that broke, however many claims it took along."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.verdict is Verdict.TESTBED_ERROR:
            what = row.note or row.evidence
            groups.setdefault((row.cell, what, row.log, row.next_step), []).append(row)
    for (cell, what, log, next_step), group in groups.items():
        page.head(Verdict.TESTBED_ERROR, f"{_names(r.rule for r in group)} on {cell}: {what}")
        if log:
            page.line(f"console: {near(str(Path(directory, log)))}")
        if next_step:
            page.line(f"next: {next_step}")
        if reproduce := group[0].reproduce:
            page.command(reproduce)


def _issues(
    page: _Page, rows: Sequence[Row], issues: Sequence[KnownIssue], today: date
) -> None:
    known = {issue.id: issue for issue in issues}
    met: set[str] = set()
    for verdict in (Verdict.KNOWN_ISSUE, Verdict.FIXED):
        groups: dict[str, list[Row]] = {}
        for row in rows:
            if row.verdict is verdict:
                groups.setdefault(row.note, []).append(row)
        for name, group in groups.items():
            met.add(name)
            cells = _names(row.cell for row in group)
            page.head(verdict, f"{name}: {_names(r.rule for r in group)} on {cells}")
            issue = known.get(name)
            if issue is None:
                continue
            due = f"due for review since {issue.review}" if issue.due(today) else ""
            page.line("; ".join(part for part in (issue.summary, issue.link, due) if part))
            if verdict is Verdict.FIXED and group[0].next_step:
                page.line(f"next: {group[0].next_step}")
    for issue in issues:
        if issue.due(today) and issue.id not in met:
            page.plain(f"known issue {issue.id}, not met in this run, "
                       f"is due for review since {issue.review}")


def _skipped(page: _Page, run: Run, rows: Iterable[Row]) -> None:
    """What was not decided, a line for each reason."""
    cells: dict[tuple[str, str], list[str]] = {}
    for cell in run.cells:
        if cell.status != "available":
            cells.setdefault((cell.status, cell.reason), []).append(cell.cell)
    groups: dict[tuple[Verdict, str], list[Row]] = {}
    for row in rows:
        reason = row.note or row.because
        if row.verdict is Verdict.UNSUPPORTED:
            told = cells.setdefault((row.verdict.value, reason), [])
            if row.cell not in told:
                told.append(row.cell)
        elif row.verdict is Verdict.NOT_APPLICABLE:
            groups.setdefault((row.verdict, reason), []).append(row)
    for (verdict, reason), group in groups.items():
        where = _names(row.cell for row in group)
        page.head(verdict, f"{_names(r.rule for r in group)} on {where}: {reason}")
    for (status, reason), names in cells.items():
        page.styled(status, "dim", f"{_names(names)}: {reason}")


def _totals(page: _Page, run: Run, directory: str) -> None:
    twins = {c.cell: c.image.origin for c in run.cells if c.twin and c.image and c.image.origin}
    for name, origin in twins.items():
        page.plain(f"{name} is not the distro: {origin}")
    times = counts(run.rows)
    said = ", ".join(f"{times[v]} {v}" for v in SEVERITY if times[v]) or "nothing was decided"
    cells = len({row.cell for row in run.rows if row.verdict is not Verdict.UNSUPPORTED})
    emulated = _names(cell.cell for cell in run.cells if cell.emulated)
    page.plain(f"{said}  ({cells} cell{'' if cells == 1 else 's'}, "
               f"{run.info.host.acceleration}{emulated and f'; emulated: {emulated}'})")
    if not run.complete:
        page.plain("this run has not finished: what is missing above was not looked at")
    elif run.exit_status in INTERRUPTED:
        page.plain("this run was interrupted: what is missing above was not looked at")
    if directory:
        page.plain(f"run {run.info.id}: {directory}")


def _names(names: Iterable[str], most: int = 8) -> str:
    every = list(dict.fromkeys(name or "set-up" for name in names))
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def fields(console: Console, width: int = 11, /, **texts: str) -> None:
    """Wrapped under each other beside their names, which have *width* columns."""
    for name, text in texts.items():
        if not text:
            continue
        lines = Text(one_line(text)).wrap(console, max(40, console.width - width - 3))
        for row, line in enumerate(lines):
            label = name.replace("_", " ") if row == 0 else ""
            console.print(Text(f"  {label:{width}} ") + line)
