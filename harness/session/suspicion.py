"""At the end of a run: what may be at fault where something was found."""

from __future__ import annotations

from collections.abc import Iterable

from harness.distros import registry
from harness.matrix import Cell
from harness.results.store import RunStore
from harness.rootless import suspects
from harness.session.fixtures import Session
from harness.session.outcome import told


def suspect(session: Session, store: RunStore, cells: Iterable[Cell]) -> None:
    """Give every finding of the run its suspects: once for each of *cells* and state.

    A look that fails is told and costs nothing else: the finding stands.  Ctrl-C ends the looking.
    """
    found = {(r.cell, r.state): None for r in store.run.rows if r.verdict.finding and r.state}
    by_name = {cell.id: cell for cell in cells}
    for name, state in found:
        cell = by_name[name]
        session.progress(f"{name}: looking for what may be at fault at state {state}")
        try:
            seen = suspects.find(session.lab, cell, registry.of(cell), state)
        except KeyboardInterrupt:
            session.progress(f"{name}: interrupted while looking")
            return
        except Exception as error:
            session.progress(f"{name}: could not be looked at: {told(error)}")
            continue
        store.add_suspects(name, state, seen)
