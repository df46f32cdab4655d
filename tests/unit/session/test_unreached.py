"""What is made of a state that no guest reaches."""

from __future__ import annotations

from dataclasses import replace

from harness.results.model import Row, Verdict
from harness.session.unreached import silent

CELL = "debian-12/x86_64"
LEFT = Row(
    "M1", CELL, "scenarios/test_identity.py::test_daemon", Verdict.NOT_APPLICABLE, state="daemon",
    note="state daemon cannot be reached: the rootless daemon does not answer",
)  # fmt: skip


def test_a_refused_state_without_a_finding_is_silence() -> None:
    held = replace(LEFT, claim="P8", verdict=Verdict.HOLDS, note="")
    assert silent([LEFT, held]) == {CELL: LEFT}


def test_a_finding_of_the_same_cell_breaks_it() -> None:
    found = replace(LEFT, claim="P13", verdict=Verdict.VIOLATED, note="", state="prepared")
    assert silent([LEFT, found]) == {}
    assert silent([LEFT, replace(found, cell="debian-13/x86_64")]) == {CELL: LEFT}


def test_what_does_not_apply_by_its_facts_is_no_silence() -> None:
    assert silent([replace(LEFT, note="AppArmor is not active")]) == {}
