"""``harness explain``: what a claim predicts on a cell, and what was seen there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from harness.commands.claims import find, observe
from harness.commands.common import cache_option, one_cell
from harness.commands.stored import (
    Probed,
    day,
    probed_in_runs,
    probed_in_states,
    runs_at,
    stored_runs,
)
from harness.distros import registry
from harness.errors import UsageError
from harness.matrix import Cell
from harness.results.grid import STYLES, short
from harness.results.ledger import LEDGER, Claim, load_ledger
from harness.results.model import Row, Verdict
from harness.results.run import Run
from harness.results.terminal import fields, make_console
from harness.results.text import one_line
from harness.rootless import traits
from harness.rootless.expectations import derive
from harness.rootless.expectations.model import Prediction, Rule


@dataclass(frozen=True)
class Seen:
    """The newest row of a rule that decided something, and the run it is of."""

    row: Row
    run: Run


@dataclass(frozen=True)
class Explained:
    """One rule on one cell.  ``documented`` differs from ``predicted`` only by drifted traits;
    both are None without facts."""

    rule: Rule
    predicted: Prediction | None
    documented: Prediction | None
    drifted: tuple[str, ...]
    seen: Seen | None

    @property
    def differs(self) -> bool:
        old, new = self.documented, self.predicted
        return bool(old and new and (old.applies, old.value) != (new.applies, new.value))


@click.command()
@click.argument("claim")
@click.option("--cell", required=True, metavar="CELL", help="such as debian-12/x86_64")
@click.option("--runs", "runs_dir", metavar="DIR", help="stored runs (default: runs)")
@click.option("--json", "as_json", is_flag=True, help="print JSON, with all the facts")
@cache_option
def explain(
    claim: str, cell: str, runs_dir: str | None, as_json: bool, cache_dir: str | None
) -> None:
    """Tell what CLAIM predicts on a cell, from which facts, and what was last observed there.

    CLAIM is a claim, or one aspect of it.  The facts are those of the newest stored run that has
    the cell, or else of a saved state.  Where traits have drifted from what the distro is
    documented to have, and that matters, `documented` is the prediction with them put back.

    \b
    Examples:
      harness explain P15 --cell debian-12/x86_64
      harness explain P15.low_port --cell debian-12/x86_64
      harness explain P15 --cell debian-12/x86_64 --json
    """
    entry, rules = find(load_ledger(LEDGER), claim)
    chosen = one_cell(cell, bootable=False)
    stored = stored_runs(runs_at(runs_dir))
    found = _facts(chosen, stored, cache_dir)
    explained = [_explain(rule, chosen, found, stored) for rule in rules]
    if as_json:
        click.echo(json.dumps(_plain(entry, chosen, found, explained), indent=1))
    else:
        origin = str(found) if found else _none(cell, cache_dir)
        _show(make_console(), entry, chosen, origin, explained)


def _facts(cell: Cell, stored: list[Run], cache_dir: str | None) -> Probed | None:
    for probed in probed_in_runs(stored):
        if probed.cell == cell.id:
            return probed
    return next((p for p in probed_in_states(cache_dir) if p.cell == cell.id), None)


def _none(cell: str, cache_dir: str | None) -> str:
    """What is said where there are no facts."""
    try:
        return f"none yet: run something on {one_cell(cell, cache_dir=cache_dir)}, then ask again"
    except UsageError as error:
        return f"none: {error.what}"


def _explain(
    rule: Rule, cell: Cell, found: Probed | None, stored: Sequence[Run]
) -> Explained:
    seen = next(_seen(stored, cell, rule.key), None)
    if found is None:
        return Explained(rule, None, None, (), seen)
    predicted = rule.predict(found.facts)
    declared = derive.declared(found.facts, registry.of(cell).traits_of(cell))
    drifted = traits.drifted(found.facts, declared)
    documented = (
        rule.predict(traits.as_documented(found.facts, declared)) if drifted else predicted
    )
    return Explained(rule, predicted, documented, tuple(map(str, drifted)), seen)


def _seen(stored: Sequence[Run], cell: Cell, key: str) -> Iterator[Seen]:
    """Newest first."""
    nothing = (Verdict.TESTBED_ERROR, Verdict.UNSUPPORTED)
    for run in stored:
        for row in reversed(run.rows):
            if row.cell == cell.id and row.rule == key and row.verdict not in nothing:
                yield Seen(row, run)


def _show(
    console: Console, entry: Claim, cell: Cell, origin: str, rules: Sequence[Explained]
) -> None:
    console.print(Text(f"{entry.id}  {entry.text}", style="bold"))
    fields(console, source=entry.source, applies=entry.applies, cell=cell.id, facts=origin)
    if not rules:
        fields(console, rule="none: no function of the facts predicts this claim yet")
    for each in rules:
        console.print()
        console.print(Text(each.rule.key, style="bold"))
        fields(console, looks_at=observe(each.rule), source=each.rule.source)
        if each.predicted:
            fields(console, predicts=f"{_said(each.predicted)} because {each.predicted.because}")
        if each.differs and each.documented:
            fields(console, documented=f"{_said(each.documented)} because "
                                       f"{each.documented.because}",
                   drifted="; ".join(each.drifted))  # fmt: skip
        _observation(console, each.seen)


def _said(prediction: Prediction) -> str:
    return repr(prediction.value) if prediction.applies else "does not apply"


def _observation(console: Console, seen: Seen | None) -> None:
    if seen is None:
        fields(console, observed="never, in the stored runs")
        return
    row, info = seen.row, seen.run.info
    console.print(Text.assemble(
        f"  {'observed':11} ", f"{row.observed!r}: ", (row.verdict.value, STYLES[row.verdict]),
        f" in run {info.id} of {day(info.started)}",
    ), soft_wrap=True)  # fmt: skip
    fields(console, note=row.note, evidence=short(one_line(row.evidence), 400))
    if row.reproduce:
        console.print(Text(f"  {'again':11} {one_line(row.reproduce)}"), soft_wrap=True)


def _plain(
    entry: Claim, cell: Cell, found: Probed | None, rules: Sequence[Explained]
) -> dict[str, Any]:
    facts = found and {
        "kind": found.kind, "name": found.name, "when": found.when, "altered": found.altered,
        "values": found.facts.to_json(),
    }  # fmt: skip
    return {
        "claim": entry.id, "text": entry.text, "source": entry.source, "applies": entry.applies,
        "cell": cell.id, "facts": facts, "rules": [_plain_rule(each) for each in rules],
    }  # fmt: skip


def _plain_rule(each: Explained) -> dict[str, Any]:
    def prediction(said: Prediction | None) -> dict[str, Any] | None:
        if said is None:
            return None
        return {"applies": said.applies, "value": said.value, "because": said.because}

    seen = each.seen and {
        "run": each.seen.run.info.id, "date": each.seen.run.info.started,
        "verdict": each.seen.row.verdict.value, "observed": each.seen.row.observed,
        "expected": each.seen.row.expected, "scenario": each.seen.row.scenario,
        "note": each.seen.row.note, "evidence": each.seen.row.evidence,
        "reproduce": each.seen.row.reproduce,
    }  # fmt: skip
    return {
        "key": each.rule.key, "looks_at": observe(each.rule), "source": each.rule.source,
        "predicted": prediction(each.predicted), "documented": prediction(each.documented),
        "drifted": list(each.drifted), "observed": seen,
    }  # fmt: skip
