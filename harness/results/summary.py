"""What a run's rows come to: merged, counted, and turned into an exit status."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

from harness.results.model import Row, Verdict

EXIT_OK = 0
EXIT_FINDING = 1
EXIT_TESTBED = 16

# Worst first.  Findings, then what nobody could decide, then the rest.
SEVERITY = (
    Verdict.VIOLATED,
    Verdict.DRIFT,
    Verdict.FLAKY,
    Verdict.TESTBED_ERROR,
    Verdict.KNOWN_ISSUE,
    Verdict.FIXED,
    Verdict.HOLDS,
    Verdict.NOT_APPLICABLE,
    Verdict.UNSUPPORTED,
)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one to show where there is room for one."""
    return min(verdicts, key=SEVERITY.index)


def merge(rows: Iterable[Row]) -> list[Row]:
    """One row for what was decided repeatedly, in the order first met.

    The same claim, aspect, cell and scenario with the same verdict keeps its last row; with
    differing verdicts it becomes ``flaky``.  A testbed error is no answer, so it neither makes a
    claim flaky nor disappears behind one: it stays beside the decided row.
    """
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault(_group(row), []).append(row)
    merged: list[Row] = []
    for group in groups.values():
        decided = [row for row in group if row.verdict is not Verdict.TESTBED_ERROR]
        broken = [row for row in group if row.verdict is Verdict.TESTBED_ERROR]
        if len({row.verdict for row in decided}) > 1:
            merged.append(_flaky(decided))
        elif decided:
            merged.append(decided[-1])
        merged.extend(broken[-1:])
    return merged


def _group(row: Row) -> tuple[str, str, str, str]:
    return row.claim, row.aspect, row.cell, row.scenario


def _flaky(rows: list[Row]) -> Row:
    """The worst of the rows, since its evidence is the interesting one."""
    shown = min(rows, key=lambda row: SEVERITY.index(row.verdict))
    times = Counter(row.verdict for row in rows)
    spread = ", ".join(f"{times[verdict]}x {verdict}" for verdict in SEVERITY if times[verdict])
    return dataclasses.replace(
        shown,
        verdict=Verdict.FLAKY,
        note=f"{spread}; {shown.verdict}: {shown.note}" if shown.note else spread,
        next_step="repeat it alone to learn how often, then look for a race",
    )


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """Rows by verdict, after merging; every verdict is named."""
    times = Counter(row.verdict for row in merge(rows))
    return {verdict.value: times[verdict] for verdict in Verdict}


def exit_status(rows: Iterable[Row], pytest_status: int) -> int:
    """The status of a run.

    pytest's own 2 (interrupted), 3 (internal error), 4 (usage) and 5 (no tests) are kept.
    Otherwise 1 for a finding, 16 if the test bed broke, and 0.  A scenario that broke and was
    decided when it was run again (``--reruns``) counts as decided.  A failure that left neither
    (an ordinary assertion in a scenario) stays 1.
    """
    if pytest_status not in (EXIT_OK, EXIT_FINDING):
        return pytest_status
    merged = merge(rows)
    if any(row.verdict.finding for row in merged):
        return EXIT_FINDING
    broken = {_group(row) for row in merged if row.verdict is Verdict.TESTBED_ERROR}
    decided = {_group(row) for row in merged if row.verdict is not Verdict.TESTBED_ERROR}
    if broken - decided:
        return EXIT_TESTBED
    return pytest_status
