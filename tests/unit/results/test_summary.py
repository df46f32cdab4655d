from __future__ import annotations

import pytest

from harness.results.model import Row, Verdict
from harness.results.summary import SEVERITY, counts, exit_status, merge, worst


def row(verdict: Verdict, *, claim: str = "P1", scenario: str = "s", note: str = "") -> Row:
    return Row(claim, "debian-12/x86_64", scenario, verdict, note=note)


H, V, T = (row(v) for v in (Verdict.HOLDS, Verdict.VIOLATED, Verdict.TESTBED_ERROR))


def test_severity_ranks_every_verdict() -> None:
    assert set(SEVERITY) == set(Verdict)
    assert worst([Verdict.HOLDS, Verdict.DRIFT, Verdict.NOT_APPLICABLE]) is Verdict.DRIFT


def test_repeated_rows_are_one() -> None:
    assert merge([H, H]) == [H]


def test_differing_verdicts_are_flaky() -> None:
    (flaky,) = merge([H, row(Verdict.VIOLATED, note="why"), H])
    assert flaky.verdict is Verdict.FLAKY
    assert flaky.note == "1x violated, 2x holds; violated: why"
    assert merge([flaky]) == [flaky]


def test_different_scenarios_aspects_and_cells_stay_apart() -> None:
    assert len(merge([H, row(Verdict.VIOLATED, scenario="t"), row(Verdict.DRIFT, claim="P2")])) == 3


def test_a_testbed_error_is_no_answer() -> None:
    assert merge([T, H, T]) == [H, T]
    assert merge([T, T]) == [T]


def test_counts_name_every_verdict() -> None:
    assert counts([]) == dict.fromkeys([v.value for v in Verdict], 0)
    assert counts([H, V])["flaky"] == 1
    assert counts([H, V])["holds"] == 0


@pytest.mark.parametrize(
    ("rows", "status", "expected"),
    [
        ([], 0, 0),
        ([H], 0, 0),
        ([V], 1, 1),
        ([V], 0, 1),
        ([row(Verdict.DRIFT)], 0, 1),
        ([H, V], 0, 1),
        ([H, row(Verdict.KNOWN_ISSUE)], 0, 1),  # flaky
        ([T], 1, 16),
        ([T], 0, 16),
        ([T, H], 0, 0),  # it was run again
        ([T, row(Verdict.HOLDS, scenario="t")], 0, 16),
        ([T, row(Verdict.HOLDS, claim="P2")], 0, 16),
        ([T, V], 1, 1),
        ([T, row(Verdict.VIOLATED, claim="P2")], 1, 1),
        ([row(Verdict.KNOWN_ISSUE), row(Verdict.FIXED, claim="P2")], 0, 0),
        ([row(Verdict.NOT_APPLICABLE), row(Verdict.UNSUPPORTED, claim="P2")], 0, 0),
        ([], 1, 1),
        ([H], 1, 1),
        ([V], 2, 2),
        ([T], 3, 3),
        ([], 4, 4),
        ([], 5, 5),
    ],
)
def test_exit_status(rows: list[Row], status: int, expected: int) -> None:
    assert exit_status(rows, status) == expected
