"""Verdicts and the rows that carry them.  Frozen, JSON-ready data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

Value = str | int | bool | None


class Verdict(StrEnum):
    """How a claim fared.  docs/verdicts.md says what to do about each."""

    HOLDS = "holds"
    VIOLATED = "violated"
    DRIFT = "drift"
    KNOWN_ISSUE = "known-issue"
    FIXED = "fixed"
    FLAKY = "flaky"
    NOT_APPLICABLE = "not-applicable"
    UNSUPPORTED = "unsupported"
    TESTBED_ERROR = "testbed-error"

    @property
    def finding(self) -> bool:
        """Findings make the run exit with 1."""
        return self in (Verdict.VIOLATED, Verdict.DRIFT, Verdict.FLAKY)


@dataclass(frozen=True)
class Row:
    """One claim decided once: by one scenario, on one cell."""

    claim: str
    cell: str
    scenario: str  # pytest node id without the cell, e.g. scenarios/test_ports.py::test_low_port
    verdict: Verdict
    aspect: str = ""  # which part of the claim, where one claim has several rules
    expected: Value = None
    observed: Value = None
    because: str = ""  # the facts that decided the prediction, as text
    source: str = ""  # the document of the rule
    evidence: str = ""  # what the guest said, trimmed
    note: str = ""  # known issue id, drifted trait, or the reason of a skip
    next_step: str = ""
    reproduce: str = ""  # a command that can be pasted
    state: str = ""
    seconds: float = 0.0
    suspects: tuple[str, ...] = ()  # of a finding: what may be at fault, the likeliest first
    log: str = ""  # console log or transcript of the guest, relative to the run's directory

    @property
    def rule(self) -> str:
        """``P15``, or ``P15.boundary`` where the claim has several rules."""
        return f"{self.claim}.{self.aspect}" if self.aspect else self.claim

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary; :meth:`from_json` reverses it."""
        # The bare text: what carries rows from worker to controller knows no enumerations.
        return {**dataclasses.asdict(self), "verdict": self.verdict.value}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Row:
        """The row of a dictionary made by :meth:`to_json`."""
        return msgspec.convert(data, cls)
