"""At the end of a run: a state that a guest would not reach is no silence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.distros import registry
from harness.errors import GuestRefusal
from harness.matrix import Cell
from harness.results.known_issues import KnownIssue
from harness.results.model import Row, Verdict
from harness.results.store import RunStore
from harness.rootless.lab import Lab
from harness.rootless.ladder import STATES
from harness.rootless.refusals import is_unreached
from harness.session.decide import Context, Decider
from harness.session.fixtures import Session
from harness.session.outcome import broke

# Whether the daemon answers after it was started: what every scenario of the state needs.
KEY = "M18.start"


def silent(rows: Iterable[Row]) -> dict[str, Row]:
    """By cell, a row that a refused state left undecided, where nothing of the run is a finding."""
    every = list(rows)
    told = {row.cell for row in every if row.verdict.finding}
    return {
        row.cell: row
        for row in every
        if row.cell not in told and row.state
        and row.verdict is Verdict.NOT_APPLICABLE and is_unreached(row.note)
    }  # fmt: skip


def decide_unreached(
    session: Session, store: RunStore, cells: Iterable[Cell], known: Sequence[KnownIssue]
) -> None:
    """Let each cell whose guests refused a state, and that shows no finding, have a verdict.

    The scenarios that make the state decide why; a run that selects none of them would end as if
    all were well.  What the facts of the state below explain stays ``not-applicable``.  A test bed
    that breaks here takes no other cell along.
    """
    by_name = {cell.id: cell for cell in cells}
    for name, row in silent(store.run.rows).items():
        cell = by_name[name]
        # Of the state that was refused, which is where to look for what is at fault.
        decider = Decider(Context(
            cell, registry.of(cell), row.scenario, row.state, (KEY,), known, row.reproduce
        ))  # fmt: skip
        try:
            _decide(session.lab, decider, row.note)
        except Exception as error:
            broke(decider, error)
        store.add_rows(*decider.rows)


def _decide(lab: Lab, decider: Decider, note: str) -> None:
    cell, distro = decider.context.cell, decider.context.distro
    said = GuestRefusal(note)
    # At the first state nothing is installed, so its facts would explain whatever is missed.
    for state in reversed(STATES[1 : STATES.index(decider.context.state) + 1]):
        try:
            guest = lab.guest(cell, distro, state)
        except GuestRefusal as refusal:
            said = refusal
            continue
        guest.end()
        decider.facts = guest.facts
        decider(KEY, False, f"{said.what}\n{said.detail}")
        return
    decider.conclude(Verdict.VIOLATED, observed=said.what, evidence=said.detail)
