"""The matrix as a table: claims down, cells across."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from harness.results.ledger import TITLES, Claim, claim_order
from harness.results.model import Row, Verdict
from harness.results.run import Run
from harness.results.summary import worst
from harness.results.text import one_line

STYLES = {
    Verdict.HOLDS: "green",
    Verdict.VIOLATED: "bold red",
    Verdict.DRIFT: "bold magenta",
    Verdict.FLAKY: "bold yellow",
    Verdict.KNOWN_ISSUE: "cyan",
    Verdict.FIXED: "bold blue",
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.UNSUPPORTED: "dim",
    Verdict.TESTBED_ERROR: "bold white on red",
}
_CLAIM, _TEXT_MIN = 5, 24
_GAP = 2  # a column of padding, and one of the box's divider


def tables(
    run: Run, rows: Sequence[Row], claims: Mapping[str, Claim], width: int
) -> Iterator[Table]:
    """One table if all cells fit beside the text of the claims, else several.

    A cell that a document rules out decides nothing and gets no column.
    """
    rows = [row for row in rows if row.verdict is not Verdict.UNSUPPORTED]
    cells = columns_of(run, rows)
    if not cells:
        return
    headers = headers_of(run, cells)
    entries = entries_of(rows)
    wide = {
        cell: max(len(headers[cell]), *(len(t) for (_, c), (t, _) in entries.items() if c == cell))
        + _GAP
        for cell in cells
    }
    longest = max(len(claims[row.claim].text) if row.claim in claims else 0 for row in rows)
    beside = width - _CLAIM - 2 * _GAP
    for some in _fit(cells, wide, beside - _TEXT_MIN):
        room = beside - sum(wide[cell] for cell in some)
        yield _table(some, headers, entries, claims, max(_TEXT_MIN, min(longest, room)))


def short(text: str, width: int) -> str:
    """Cut to ``width`` columns, in characters that every terminal has."""
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def columns_of(run: Run, rows: Iterable[Row]) -> list[str]:
    """The cells that rows were decided on, in the order of the run's cells."""
    decided = list(dict.fromkeys(row.cell for row in rows))
    first = [cell.cell for cell in run.cells if cell.cell in decided]
    return first + [cell for cell in decided if cell not in first]


def headers_of(run: Run, cells: Iterable[str]) -> dict[str, str]:
    """A twin never passes for the distro itself, nor an emulated machine for a real one."""
    labels = {
        info.cell: [*(["twin"] if info.twin else []), *(["emulated"] if info.emulated else [])]
        for info in run.cells
    }
    return {
        cell: one_line(f"{cell} ({', '.join(labels[cell])})" if labels.get(cell) else cell)
        for cell in cells
    }


def entries_of(rows: Iterable[Row]) -> dict[tuple[str, str], tuple[str, Verdict]]:
    """(claim, cell) → the worst verdict, with how many of the rows have it where not all do."""
    verdicts: dict[tuple[str, str], list[Verdict]] = {}
    for row in rows:
        verdicts.setdefault((row.claim, row.cell), []).append(row.verdict)
    entries: dict[tuple[str, str], tuple[str, Verdict]] = {}
    for key, several in verdicts.items():
        bad = worst(several)
        times = several.count(bad)
        share = "" if times == len(several) else f" {times}/{len(several)}"
        entries[key] = bad.value + share, bad
    return entries


def _fit(cells: Iterable[str], wide: Mapping[str, int], room: int) -> Iterator[list[str]]:
    some: list[str] = []
    for cell in cells:
        if some and sum(wide[c] for c in some) + wide[cell] > room:
            yield some
            some = []
        some.append(cell)
    yield some


def _table(
    cells: Sequence[str],
    headers: Mapping[str, str],
    entries: Mapping[tuple[str, str], tuple[str, Verdict]],
    claims: Mapping[str, Claim],
    room: int,
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(Text("claim"), no_wrap=True, min_width=_CLAIM)
    table.add_column(Text("text"), no_wrap=True, width=room)
    for cell in cells:
        table.add_column(Text(headers[cell]), no_wrap=True, min_width=len(headers[cell]))
    document = None
    for claim_id in sorted({claim for claim, cell in entries if cell in cells}, key=claim_order):
        claim = claims.get(claim_id)
        title = TITLES[claim.document] if claim else "not in the ledger"
        if title != document:
            document = title
            table.add_section()
            table.add_row(Text(""), Text(title, style="bold"))
        line = [Text(one_line(claim_id) or "-"), Text(short(claim.text if claim else "", room))]
        for cell in cells:
            said, verdict = entries.get((claim_id, cell), ("", Verdict.HOLDS))
            line.append(Text(said, style=STYLES[verdict]))
        table.add_row(*line)
    return table
