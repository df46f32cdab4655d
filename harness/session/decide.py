"""Deciding claims inside a scenario: prediction, observation, verdict, row."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from harness.distros.base import Distro
from harness.errors import UsageError
from harness.guest.facts import Facts
from harness.guest.session import NO_STATUS, Result
from harness.matrix import Cell
from harness.results.judge import judge
from harness.results.known_issues import KnownIssue
from harness.results.model import Row, Value, Verdict
from harness.rootless import expectations, traits
from harness.rootless.bugs.model import CANNOT
from harness.rootless.bugs.reproduce import Report
from harness.rootless.expectations import derive
from harness.rootless.expectations.model import RULES

EVIDENCE_CHARACTERS = 1500
SIGNALLED = f"exit status {NO_STATUS}: a signal ended the command"


class Finding(Exception):
    """A scenario decided that a claim does not hold.  Not a crash: its text is the report."""


@dataclass(frozen=True)
class Context:
    """What is the same for every decision of one scenario."""

    cell: Cell
    distro: Distro
    scenario: str
    state: str
    keys: tuple[str, ...]  # what the scenario's marker names
    known: Sequence[KnownIssue]
    reproduce: str


class Decider:
    """The ``decide`` fixture.  ``decide("P15.low_port", "refused", evidence)``."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.facts: Facts | None = None
        self.rows: list[Row] = []
        self._since = time.monotonic()

    def __call__(
        self, key: str, observed: Value, evidence: str | Result = "", *, facts: Facts | None = None
    ) -> Verdict:
        """Judge *observed* against what the rule *key* predicts on this guest.

        The facts are those of the state the scenario started from; pass *facts* where the rule
        speaks of a guest that the scenario itself has made into another.  A finding does not
        stop the scenario: it fails at its end.
        """
        if key not in self.context.keys:
            raise UsageError(f"{self.context.scenario} decides {key} without naming it in claims()")
        known_facts = facts or self.facts
        if known_facts is None:
            raise UsageError(f"{self.context.scenario} decides {key} without a guest")
        declared = derive.declared(known_facts, self.context.distro.traits_of(self.context.cell))
        predicted = expectations.predict(key, known_facts)
        # A scenario that passes facts has changed the guest on purpose: that is no drift.
        drifted = [] if facts else traits.drifted(known_facts, declared)
        documented = (
            expectations.predict(key, traits.as_documented(known_facts, declared))
            if drifted
            else predicted
        )
        text = evidence.transcript if isinstance(evidence, Result) else evidence
        signalled = isinstance(evidence, Result) and evidence.exit_status == NO_STATUS
        rule = RULES[key]
        judgement = judge(
            claim=rule.claim, aspect=rule.aspect, cell=self.context.cell,
            engine_version=known_facts.engine, predicted=predicted, documented=documented,
            observed=observed, evidence=text, drifted=[str(item) for item in drifted],
            known=self.context.known, today=date.today(),
        )  # fmt: skip
        # The note of a known issue is its id alone.
        notes = [judgement.note, SIGNALLED if signalled and judgement.verdict.finding else ""]
        self._add(
            key, judgement.verdict, expected=predicted.value, observed=observed,
            because=predicted.because, source=rule.source, evidence=text,
            note="; ".join(filter(None, notes)),
            next_step=judgement.next_step,
        )  # fmt: skip
        return judgement.verdict

    def trait_drifts(self, name: str, documented: str, probed: str) -> None:
        """Record that one declared trait was probed to differ, whatever claims depend on it."""
        self._add(
            name, Verdict.DRIFT, expected=documented, observed=probed,
            because=f"the value that the distro is documented to have{self._of_its_twin(name)}",
            source="harness/distros", note=f"{name}: documented {documented}, probed {probed}",
            next_step="if the distro changed, update its declaration; else find what moved it",
        )  # fmt: skip

    def traits_hold(self, probed: Mapping[str, str]) -> None:
        """Record that all of the declared traits were probed as declared, in one row."""
        self._add(
            "traits", Verdict.HOLDS, expected=f"{len(probed)} as declared",
            observed=f"{len(probed)} as declared", source="harness/distros",
            because=f"the values that the distro is documented to have{self._of_its_twin(*probed)}",
            evidence="\n".join(f"{name}: {value}" for name, value in probed.items()),
        )  # fmt: skip

    def _of_its_twin(self, *names: str) -> str:
        """Which of these traits are declared for the twin, and not the distro's."""
        own = (self.context.distro.twin or {}) if self.context.cell.twin else {}
        told = ", ".join(name for name in names if name in own)
        return f", but of its twin: {told}" if told else ""

    def bug(self, report: Report) -> Verdict:
        """Record what became of a reported bug: ``holds`` where it shows, or does not, as the
        guest's facts predict."""
        name, bug = report.bug.name, report.bug
        verdict = Verdict.HOLDS if report.as_expected else Verdict.VIOLATED
        if report.verdict == CANNOT:
            verdict = Verdict.NOT_APPLICABLE
        self._add(
            f"bug.{name}", verdict, expected=report.expected, observed=report.verdict,
            because=bug.trait, source=f"{bug.tracker}, {bug.url}", note=report.reason,
            evidence=report.symptom or report.transcript,
            reproduce=f"harness bug reproduce {name} --cell {self.context.cell}",
            next_step="look at what the guest said: has the engine or the distro changed?",
        )  # fmt: skip
        return verdict

    def not_applicable(self, key: str, reason: str) -> None:
        """Leave *key* undecided, with the fact that makes it so."""
        self._add(key, Verdict.NOT_APPLICABLE, note=reason)

    def undecided(self) -> list[str]:
        """The keys that the scenario names and has not decided."""
        done = {row.rule for row in self.rows}
        return [key for key in self.context.keys if key not in done]

    def conclude(self, verdict: Verdict, *, observed: Value = None, note: str = "",
                 evidence: str = "", next_step: str = "", log: str = "",
                 anyway: bool = False) -> None:  # fmt: skip
        """The same verdict for all that is undecided, after something ended the scenario;
        *anyway*: for no claim where all is decided."""
        for key in self.undecided() or ([""] if anyway or not self.rows else []):
            because, source, expected = "", "", None
            if self.facts is not None and key in RULES:
                prediction = expectations.predict(key, self.facts)
                because, expected = prediction.because, prediction.value
                source = RULES[key].source
            self._add(
                key, verdict, expected=expected, observed=observed, because=because,
                source=source, evidence=evidence, note=note, next_step=next_step, log=log,
            )  # fmt: skip

    def retract(self, *, note: str, evidence: str, next_step: str, log: str) -> None:
        """Give what was found the test bed's verdict: the guest was not fit to show it."""
        self.rows = [
            replace(row, verdict=Verdict.TESTBED_ERROR, note=note, next_step=next_step, log=log,
                    evidence=evidence.strip()[-EVIDENCE_CHARACTERS:])
            if row.verdict.finding else row
            for row in self.rows
        ]  # fmt: skip

    def _add(self, key: str, verdict: Verdict, **fields: Value) -> None:
        claim, _, aspect = key.partition(".")
        now = time.monotonic()
        row = Row(
            claim=claim, aspect=aspect, cell=self.context.cell.id,
            scenario=self.context.scenario, verdict=verdict, state=self.context.state,
            reproduce=self.context.reproduce, seconds=round(now - self._since, 3),
        )  # fmt: skip
        text = str(fields.pop("evidence", "") or "").strip()[-EVIDENCE_CHARACTERS:]
        self._since = now
        self.rows.append(replace(row, evidence=text, **fields))  # type: ignore[arg-type]

    def findings(self) -> list[Row]:
        return [row for row in self.rows if row.verdict.finding]


def describe(row: Row) -> str:
    """A row as the text of a failed scenario."""
    lines = [f"{row.verdict}: {row.rule} on {row.cell}"]
    lines.append(f"  expected {row.expected!r}, observed {row.observed!r}")
    for name, text in (("because", row.because), ("note", row.note), ("next", row.next_step)):
        if text:
            lines.append(f"  {name}: {text}")
    if row.evidence:
        lines += ["  evidence:", *(f"    {line}" for line in row.evidence.splitlines()[-12:])]
    lines.append(f"  again: {row.reproduce}")
    return "\n".join(lines)
