"""Every line of the table in docs/architecture.md, and where two of them meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pytest
from packaging.specifiers import SpecifierSet

from harness.matrix import Cell
from harness.results.judge import Judgement, judge, same
from harness.results.known_issues import KnownIssue
from harness.results.model import Value, Verdict

CELL = Cell("debian", "12", "x86_64")
TODAY = date(2026, 11, 22)
PORT_DRIFT = "port-boundary: documented 1024, probed 80"


@dataclass(frozen=True)
class Says:
    value: Value
    because: str = "a fact"
    applies: bool = True


def issue(
    *,
    claim: str = "P15",
    aspect: str = "",
    cells: tuple[str, ...] = ("debian-*/x86_64",),
    engine: str = "",
    pattern: str = "not found",
    review: date = date(2027, 1, 31),
) -> KnownIssue:
    return KnownIssue(
        id="the-issue",
        claim=claim,
        cells=cells,
        pattern=pattern,
        summary="a summary",
        review=review,
        cause="a cause",
        aspect=aspect,
        engine=SpecifierSet(engine) if engine else None,
        link="https://example.org/1",
    )


def decide(
    predicted: Says,
    observed: Value,
    *,
    documented: Says | None = None,
    aspect: str = "",
    evidence: str = "",
    drifted: Sequence[str] = (),
    known: Sequence[KnownIssue] = (),
    engine: str = "20.10.24+dfsg1-1+deb12u1",
) -> Judgement:
    return judge(
        claim="P15",
        aspect=aspect,
        cell=CELL,
        engine_version=engine,
        predicted=predicted,
        documented=documented or predicted,
        observed=observed,
        evidence=evidence,
        drifted=drifted,
        known=known,
        today=TODAY,
    )


def test_holds() -> None:
    assert decide(Says(80), 80) == Judgement(Verdict.HOLDS)


def test_violated_says_what_next() -> None:
    judgement = decide(Says("overlay2"), "vfs")
    assert judgement.verdict is Verdict.VIOLATED
    assert judgement.next_step


def test_drift_names_the_trait() -> None:
    judgement = decide(Says(80), 80, documented=Says(1024), drifted=[PORT_DRIFT])
    assert judgement.verdict is Verdict.DRIFT
    assert PORT_DRIFT in judgement.note


def test_a_drifted_trait_that_changes_nothing_here_is_no_drift() -> None:
    assert decide(Says(80), 80, drifted=[PORT_DRIFT]).verdict is Verdict.HOLDS


def test_not_applicable_gives_the_fact() -> None:
    no = Says(None, "no systemd", applies=False)
    assert decide(no, "anything") == Judgement(Verdict.NOT_APPLICABLE, "no systemd")


def test_a_trait_that_switched_the_claim_off_is_drift() -> None:
    judgement = decide(
        Says(None, "cgroup v1", applies=False),
        None,
        documented=Says(True),
        drifted=["cgroup: documented v2, probed v1"],
    )
    assert judgement.verdict is Verdict.DRIFT
    assert "cgroup: documented v2, probed v1" in judgement.note
    assert "cgroup v1" in judgement.note


def test_a_trait_that_switched_the_claim_on_is_drift() -> None:
    judgement = decide(
        Says(True), True, documented=Says(None, "no knob", applies=False), drifted=["a trait"]
    )
    assert judgement.verdict is Verdict.DRIFT
    assert "no knob" in judgement.note


def test_drift_without_a_named_trait_is_told() -> None:
    judgement = decide(Says(1), 1, documented=Says(2))
    assert judgement.verdict is Verdict.DRIFT
    assert "no drifted trait was named" in judgement.note


def test_observing_the_documented_value_against_the_facts_is_violated() -> None:
    judgement = decide(Says(80), 1024, documented=Says(1024), drifted=[PORT_DRIFT])
    assert judgement.verdict is Verdict.VIOLATED
    assert PORT_DRIFT in judgement.note
    assert "probe" in judgement.next_step


@pytest.mark.parametrize(("observed", "evidence"), [("sh: not found", ""), (127, "x: not found")])
def test_known_issue_by_value_or_evidence(observed: Value, evidence: str) -> None:
    judgement = decide(Says(0), observed, evidence=evidence, known=[issue()])
    assert judgement.verdict is Verdict.KNOWN_ISSUE
    assert judgement.note == "the-issue"
    assert "https://example.org/1" in judgement.next_step


@pytest.mark.parametrize(
    "other",
    [
        issue(claim="P14"),
        issue(aspect="boundary"),
        issue(cells=("debian-11/*", "photon-*")),
        issue(engine=">=23"),
        issue(pattern="no such file"),
    ],
    ids=["claim", "aspect", "cell", "engine", "pattern"],
)
def test_a_known_issue_of_something_else_excuses_nothing(other: KnownIssue) -> None:
    judgement = decide(Says(0), 127, evidence="x: not found", known=[other])
    assert judgement.verdict is Verdict.VIOLATED


def test_an_issue_without_aspect_excuses_every_aspect() -> None:
    judgement = decide(Says(0), 127, aspect="part", evidence="not found", known=[issue()])
    assert judgement.verdict is Verdict.KNOWN_ISSUE


def test_the_second_issue_counts_too() -> None:
    known = [issue(pattern="nothing like it"), issue()]
    assert decide(Says(0), 1, evidence="not found", known=known).verdict is Verdict.KNOWN_ISSUE


def test_review_date_is_told_when_it_has_passed() -> None:
    late = decide(Says(0), 1, evidence="not found", known=[issue(review=date(2026, 11, 21))])
    assert "due for review since 2026-11-21" in late.next_step
    on_the_day = decide(Says(0), 1, evidence="not found", known=[issue(review=TODAY)])
    assert "due" not in on_the_day.next_step


def test_outside_the_engine_range_the_note_points_at_the_issue() -> None:
    judgement = decide(Says(0), 1, evidence="not found", known=[issue(engine="<20.10.24")])
    assert judgement.verdict is Verdict.VIOLATED
    assert "the-issue" in judgement.note


def test_unknown_engine_lies_in_no_range() -> None:
    known = [issue(engine=">=20")]
    judgement = decide(Says(0), 1, evidence="not found", known=known, engine="")
    assert judgement.verdict is Verdict.VIOLATED


def test_fixed() -> None:
    judgement = decide(Says(0), 0, known=[issue(engine=">=20.10,<23")])
    assert judgement.verdict is Verdict.FIXED
    assert judgement.note == "the-issue"


@pytest.mark.parametrize(
    "other",
    [issue(claim="P14"), issue(aspect="x"), issue(cells=("photon-*",)), issue(engine="<20.10")],
    ids=["claim", "aspect", "cell", "engine"],
)
def test_success_elsewhere_fixes_nothing(other: KnownIssue) -> None:
    assert decide(Says(0), 0, known=[other]).verdict is Verdict.HOLDS


def test_an_issue_of_the_whole_claim_is_not_fixed_by_one_aspect() -> None:
    assert decide(Says(0), 0, aspect="part", known=[issue()]).verdict is Verdict.HOLDS
    assert decide(Says(0), 0, aspect="part", known=[issue(aspect="part")]).verdict is Verdict.FIXED


def test_nothing_is_fixed_while_the_symptom_shows() -> None:
    """A rule may predict the symptom itself."""
    judgement = decide(Says("x: not found"), "x: not found", known=[issue()])
    assert judgement.verdict is Verdict.HOLDS


def test_drift_is_not_hidden_by_a_known_issue() -> None:
    judgement = decide(Says(80), 80, documented=Says(1024), drifted=["t"], known=[issue()])
    assert judgement.verdict is Verdict.DRIFT


def test_yes_is_not_one() -> None:
    assert decide(Says(True), 1).verdict is Verdict.VIOLATED
    assert decide(Says(0), False).verdict is Verdict.VIOLATED
    assert same(True, True)
    assert same(None, None)
    assert not same(None, "")
    assert not same("1", 1)


def test_predicting_nothing_is_a_prediction() -> None:
    assert decide(Says(None), None).verdict is Verdict.HOLDS
    assert decide(Says(None), "", known=[issue(pattern="None")]).verdict is Verdict.VIOLATED
