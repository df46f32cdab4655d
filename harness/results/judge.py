"""From prediction and observation to a verdict.  Pure: the table in docs/architecture.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from harness.matrix import Cell
from harness.results.known_issues import KnownIssue
from harness.results.model import Value, Verdict
from harness.results.versions import in_range


class Predicted(Protocol):
    """What a rule says; this room does not know how rules come to it."""

    @property
    def value(self) -> Value: ...

    @property
    def because(self) -> str: ...

    @property
    def applies(self) -> bool: ...


@dataclass(frozen=True)
class Judgement:
    """A verdict, why (for ``known-issue`` and ``fixed`` the bare issue id), and what to do."""

    verdict: Verdict
    note: str = ""
    next_step: str = ""


def same(left: Value, right: Value) -> bool:
    """Equality of values.  Unlike Python's, ``True`` is not ``1``: an exit status that happens
    to be 1 must not confirm a prediction of "yes"."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def judge(
    *,
    claim: str,
    aspect: str,
    cell: Cell,
    engine_version: str,
    predicted: Predicted,
    documented: Predicted,
    observed: Value,
    evidence: str,
    drifted: Sequence[str],
    known: Sequence[KnownIssue],
    today: date,
) -> Judgement:
    """Decide one claim on one cell.

    ``predicted`` is the rule on the facts as probed, ``documented`` the same rule with every
    drifted trait put back.  ``drifted`` are those traits as readable text, such as
    ``"port-boundary: documented 1024, probed 80"``.
    """
    if not predicted.applies:
        if documented.applies:
            return _drift(drifted, f"the claim does not apply here: {predicted.because}")
        return Judgement(Verdict.NOT_APPLICABLE, predicted.because)

    here = [i for i in known if i.names(claim, aspect) and i.covers(cell.id, engine_version)]
    if not same(observed, predicted.value):
        for issue in here:
            if issue.seen_in(observed, evidence):
                return Judgement(Verdict.KNOWN_ISSUE, issue.id, _look(issue, today))
        return _violated(claim, cell, engine_version, documented, observed, drifted, known)

    if not documented.applies:
        return _drift(drifted, f"the documentation excludes the claim: {documented.because}")
    if not same(predicted.value, documented.value):
        return _drift(drifted, f"documented {documented.value!r}, found {observed!r}")
    for issue in here:
        # A rule may itself predict the symptom; while that shows, nothing has been repaired.
        if issue.aspect == aspect and not issue.seen_in(observed, evidence):
            return Judgement(
                Verdict.FIXED,
                issue.id,
                f"repeat to be sure, then narrow or remove {issue.id} in known_issues.toml",
            )
    return Judgement(Verdict.HOLDS)


def _drift(drifted: Sequence[str], effect: str) -> Judgement:
    if drifted:
        traits = "; ".join(drifted)
        step = "cure the trait with its hint, or correct what the distro is documented to have"
    else:
        traits = "no drifted trait was named"
        step = "find the fact that the two predictions do not share: a trait is missing"
    return Judgement(Verdict.DRIFT, f"{traits} ({effect})", step)


def _violated(
    claim: str,
    cell: Cell,
    engine_version: str,
    documented: Predicted,
    observed: Value,
    drifted: Sequence[str],
    known: Sequence[KnownIssue],
) -> Judgement:
    """A deviation nobody has reported, with what may explain it."""
    notes = [f"drifted here: {'; '.join(drifted)}"] if drifted else []
    step = "reproduce it, then report it or correct the rule"
    if drifted and documented.applies and same(observed, documented.value):
        notes.append("the documented value shows although the traits differ")
        step = "the rule or the probe of the drifted trait is wrong: compare with the facts"
    elif other := next((i for i in known if _elsewhere(i, claim, cell, engine_version)), None):
        notes.append(f"{other.id} is a known issue of this claim, but not at engine "
                     f"{engine_version or 'unknown'}")
        step = f"if the symptom is the same, widen the engine range of {other.id}"
    return Judgement(Verdict.VIOLATED, "; ".join(notes), step)


def _elsewhere(issue: KnownIssue, claim: str, cell: Cell, engine_version: str) -> bool:
    """Named for this claim and cell, but for other engine versions."""
    return (
        issue.claim == claim
        and not in_range(engine_version, issue.engine)
        and issue.covers_cell(cell.id)
    )


def _look(issue: KnownIssue, today: date) -> str:
    where = f"see {issue.link}" if issue.link else issue.summary
    return f"{where}; due for review since {issue.review}" if issue.due(today) else where
