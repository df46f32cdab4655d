"""Showing a bug on guests: without its trait, with it, and cured."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.distros import registry
from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.matrix import Cell
from harness.rootless.bugs.model import (
    CANNOT,
    NOT_REPRODUCED,
    REPRODUCED,
    Act,
    Bug,
    Case,
    expected,
)
from harness.rootless.inducers import CannotInduce

WITHOUT, AS_IS, INDUCED, CURED = "without the trait", "as the guest is", "with the trait", "cured"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One try.  ``symptom`` is the line in which the symptom was seen, empty for none."""

    name: str
    did: str  # the transcript of inducing or curing
    said: str  # the transcript of the try
    symptom: str
    healthy: bool

    @property
    def last_line(self) -> str:
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith("exit status")]
        return told[-1] if told else "nothing"


@dataclass(frozen=True)
class Report:
    """``verdict`` is one of the three of model.py; ``reason`` the fact or the words behind it."""

    bug: Bug
    cell: str
    verdict: str
    reason: str
    expected: str
    steps: tuple[Step, ...] = ()

    @property
    def as_expected(self) -> bool:
        """Whether it came as the facts predict; what fails otherwise is no absence."""
        absent = self.verdict == NOT_REPRODUCED
        return self.verdict == self.expected and not (absent and not self.steps[-1].healthy)

    @property
    def symptom(self) -> str:
        """The line in which the symptom was seen; empty for never."""
        return next((step.symptom for step in self.steps if step.symptom), "")

    @property
    def transcript(self) -> str:
        parts = []
        for step in self.steps:
            parts += [f"== {step.name}", *(text for text in (step.did, step.said) if text)]
        return "\n".join(parts)


def reproduce(
    bug: Bug, cell: Cell, new_guest: Callable[[str], Guest],
    progress: Progress = lambda _: None,
) -> Report:  # fmt: skip
    """Show *bug* on guests of *cell* that *new_guest* gives, each at the state asked for and
    untouched; asking for the next may end the one before.

    One guest goes without the trait, another with it and then with the cure.
    """
    try:
        guest = new_guest(bug.state)
    except GuestRefusal as refusal:
        return Report(bug, cell.id, CANNOT, refusal.what, CANNOT)
    predicted, fact = expected(bug, guest.facts)
    if predicted == CANNOT:
        return Report(bug, cell.id, CANNOT, fact, predicted)
    showing = _Showing(bug, cell, new_guest, progress, guest)
    try:
        verdict, reason = showing.go(predicted, fact)
    except CannotInduce as fact_of_guest:
        verdict, reason = CANNOT, fact_of_guest.what
    except GuestRefusal as refusal:
        verdict, reason = NOT_REPRODUCED, f"the guest refuses: {refusal.what}"
    return Report(bug, cell.id, verdict, reason, predicted, tuple(showing.steps))


@dataclass
class _Showing:
    """The steps taken so far, and the guest in use."""

    bug: Bug
    cell: Cell
    new_guest: Callable[[str], Guest]
    progress: Progress
    guest: Guest
    steps: list[Step] = field(default_factory=list)

    def go(self, predicted: str, fact: str) -> tuple[str, str]:
        """The verdict, and what it was read from."""
        bug = self.bug
        own = bool(bug.native(self.guest.facts)) or (bug.induce is None and bug.control is None)
        if not own and predicted == REPRODUCED:
            step = self._step(WITHOUT, bug.control or bug.attempt)
            if step.symptom:
                return NOT_REPRODUCED, f"the trait is not needed for it: {step.symptom}"
            if not step.healthy:
                return NOT_REPRODUCED, f"without the trait it fails too: {step.last_line}"
            self.guest = self.new_guest(bug.state)
        step = self._step(AS_IS if own else INDUCED, bug.attempt, None if own else bug.induce)
        if not step.symptom:
            return NOT_REPRODUCED, _absence(step, fact)
        if bug.cure is None:
            return REPRODUCED, fact
        step = self._step(CURED, bug.attempt, bug.cure)
        if step.symptom:
            return NOT_REPRODUCED, f"the symptom outlives the cure: {step.symptom}"
        if not step.healthy:
            return NOT_REPRODUCED, f"cured it fails otherwise: {step.last_line}"
        return REPRODUCED, fact

    def _step(self, name: str, attempt: Act, before: Act | None = None) -> Step:
        self.progress(f"{self.cell}: {self.bug.name}: {name}")
        case = Case(self.guest, registry.of(self.cell))
        did = before(case) if before is not None else ""
        said = attempt(case)
        healthy = bool(re.search(self.bug.healthy, said, re.MULTILINE))
        step = Step(name, did, said, line_of(self.bug.symptom, said), healthy)
        self.steps.append(step)
        return step


def _absence(step: Step, fact: str) -> str:
    if not step.healthy:
        return f"it fails otherwise: {step.last_line}"
    return fact or "the guest does not mind the trait"


def line_of(pattern: str, text: str) -> str:
    """The line of *text* in which *pattern* begins; empty where it is not found."""
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        return ""
    start = text.rfind("\n", 0, found.start()) + 1
    end = text.find("\n", found.start())
    return text[start : len(text) if end < 0 else end].strip()
