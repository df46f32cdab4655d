"""``harness claims`` and ``harness explain``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from harness.commands.common import cache_option, one_cell
from harness.commands.stored import stored_runs
from harness.distros import registry
from harness.errors import UsageError
from harness.guest.facts import Facts
from harness.hypervisor.saved import StateStore
from harness.matrix import Cell
from harness.paths import cache, project, runs
from harness.results.grid import STYLES, short
from harness.results.ledger import TITLES, Claim, claim_order, coverage, load_ledger
from harness.results.model import Row, Verdict
from harness.results.terminal import make_console, one_line
from harness.rootless import expectations, traits
from harness.rootless.expectations.model import RULES, Rule

LEDGER = project() / "scenarios" / "claims.toml"


@click.command()
@click.argument("claim", required=False)
@click.option("--coverage", "only_coverage", is_flag=True,
              help="only how many are decided, and which are not")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def claims(claim: str | None, only_coverage: bool, as_json: bool) -> None:
    """List the documented claims with the scenarios that decide each, or tell all about CLAIM.

    \b
    Examples:
      harness claims
      harness claims P15
      harness claims --coverage
    """
    ledger = load_ledger(LEDGER)
    decided = coverage(ledger, LEDGER.parent)
    if claim is not None:
        chosen = find(ledger, claim)
        ledger = {chosen.id: chosen}
    if as_json:
        click.echo(json.dumps([_plain(c, decided[c.id]) for c in ledger.values()], indent=1))
        return
    console = make_console()
    if claim is not None:
        (chosen,) = ledger.values()
        _one(console, chosen, decided[chosen.id])
        return
    if not only_coverage:
        _list(console, ledger, decided)
    missing = [name for name, scenarios in decided.items() if not scenarios]
    console.print(f"{len(ledger) - len(missing)} of {len(ledger)} claims are decided by scenarios")
    if missing:
        console.print(f"no scenario decides {', '.join(sorted(missing, key=claim_order))}")


def find(ledger: Mapping[str, Claim], text: str) -> Claim:
    name = text.partition(".")[0].upper()
    if name not in ledger:
        raise UsageError(f"there is no claim {text!r}", hint="claims are called P15, M7, D13 …",
                         command="harness claims")  # fmt: skip
    return ledger[name]


def _plain(claim: Claim, scenarios: Sequence[str]) -> dict[str, Any]:
    rules = [{"key": r.key, "source": r.source, "observe": _observe(r)}
             for r in rules_of(claim.id)]  # fmt: skip
    return {**dataclasses.asdict(claim), "rules": rules, "scenarios": list(scenarios)}


def _observe(rule: Rule) -> str:
    return expectations.observe(rule.key).replace("``", "`")


def rules_of(claim: str) -> list[Rule]:
    return [rule for rule in RULES.values() if rule.claim == claim]


def _list(console: Console, ledger: Mapping[str, Claim], decided: Mapping[str, list[str]]) -> None:
    document = ""
    for claim in sorted(ledger.values(), key=lambda c: claim_order(c.id)):
        if claim.document != document:
            document = claim.document
            console.print(Text(TITLES[document], style="bold"))
        console.print(Text(f"  {claim.id:4} {short(claim.text, console.width - 7)}"))
        for node in decided[claim.id]:
            console.print(Text(f"         {node}", style="green"), soft_wrap=True)
        if not decided[claim.id]:
            console.print(Text("         no scenario", style="yellow"))


def _one(console: Console, claim: Claim, scenarios: Sequence[str]) -> None:
    console.print(Text(f"{claim.id}  {claim.text}", style="bold"))
    _fields(console, source=claim.source, applies=claim.applies, observed=claim.decided_by,
            needs=claim.hint)  # fmt: skip
    for rule in rules_of(claim.id):
        _fields(console, rule=f"{rule.key}: {_observe(rule)}")
    for node in scenarios:
        _fields(console, scenario=node)
    if not scenarios:
        _fields(console, scenario="none")


def _fields(console: Console, **fields: str) -> None:
    """Wrapped under each other beside their names."""
    for name, text in fields.items():
        if not text:
            continue
        lines = Text(one_line(text)).wrap(console, max(40, console.width - 14))
        for number, line in enumerate(lines):
            console.print(Text(f"  {name if number == 0 else '':11} ") + line)


@click.command()
@click.argument("claim")
@click.option("--cell", required=True, metavar="CELL", help="such as debian-12/x86_64")
@click.option("--runs", "runs_dir", metavar="DIR", help="stored runs (default: runs)")
@cache_option
def explain(claim: str, cell: str, runs_dir: str | None, cache_dir: str | None) -> None:
    """Tell what CLAIM predicts on a cell, from which facts, and what was last observed there.

    The facts are those of the newest stored run that has the cell, or else of a saved state.

    \b
    Examples:
      harness explain P15 --cell debian-12/x86_64
      harness explain P15.low_port --cell debian-12/x86_64
    """
    chosen = one_cell(cell, bootable=False)
    entry = find(load_ledger(LEDGER), claim)
    rules = [expectations.find(claim)] if "." in claim else rules_of(entry.id)
    where = runs(runs_dir)
    facts, origin = _facts(chosen, where, cache_dir)
    console = make_console()
    console.print(Text(f"{entry.id}  {entry.text}", style="bold"))
    _fields(console, applies=entry.applies, facts=origin)
    if not rules:
        _fields(console, rule="none: no function of the facts predicts this claim yet")
    seen = _last_rows(where, chosen, entry.id)
    for rule in rules:
        console.print()
        console.print(Text(rule.key, style="bold"))
        _fields(console, looks_at=_observe(rule), source=rule.source)
        if facts is not None:
            _prediction(console, rule, facts, chosen)
        _observation(console, seen.get(rule.key))


def _prediction(console: Console, rule: Rule, facts: Facts, cell: Cell) -> None:
    predicted = rule.predict(facts)
    said = repr(predicted.value) if predicted.applies else "does not apply"
    _fields(console, predicts=f"{said} because {predicted.because}")
    declared = registry.of(cell).traits_of(cell)
    drifted = traits.drifted(facts, declared)
    documented = rule.predict(traits.as_documented(facts, declared)) if drifted else predicted
    if (documented.applies, documented.value) != (predicted.applies, predicted.value):
        said = repr(documented.value) if documented.applies else "does not apply"
        _fields(console, documented=f"{said}; {'; '.join(map(str, drifted))}")


def _observation(console: Console, found: tuple[Row, str] | None) -> None:
    if found is None:
        _fields(console, observed="never, in the stored runs")
        return
    row, run = found
    console.print(Text.assemble(
        f"  {'observed':11} ", f"{row.observed!r}: ", (row.verdict.value, STYLES[row.verdict]),
        f" in run {run}",
    ), soft_wrap=True)  # fmt: skip
    _fields(console, note=row.note, evidence=short(one_line(row.evidence), 400))
    if row.reproduce:
        console.print(Text(f"  {'again':11} {one_line(row.reproduce)}"), soft_wrap=True)


def _facts(cell: Cell, where: Path, cache_dir: str | None) -> tuple[Facts | None, str]:
    for run in stored_runs(where):
        for info in run.cells:
            if info.cell == cell.id and info.facts:
                with_facts = _read(info.facts)
                if with_facts is not None:
                    return with_facts, f"as probed in run {run.info.id}"
    states = [s for s in StateStore(cache(cache_dir).states).all() if s.cell == cell.id]
    for state in sorted(states, key=lambda s: s.created, reverse=True):
        with_facts = _read(state.extra.get("facts", {}))
        if with_facts is not None:
            return with_facts, f"as probed at the saved state {state.name}"
    return None, f"none yet: run something on {cell}, then ask again"


def _read(data: Mapping[str, Any]) -> Facts | None:
    """None where another version of the harness wrote other facts."""
    try:
        return Facts.from_json(data)
    except (KeyError, TypeError):
        return None


def _last_rows(where: Path, cell: Cell, claim: str) -> dict[str, tuple[Row, str]]:
    """Rule → its newest row that decided something, and the run it is of."""
    found: dict[str, tuple[Row, str]] = {}
    for run in stored_runs(where):
        for row in _decided(run.rows, cell, claim):
            found.setdefault(row.rule, (row, run.info.id))
    return found


def _decided(rows: Sequence[Row], cell: Cell, claim: str) -> Iterator[Row]:
    nothing = (Verdict.TESTBED_ERROR, Verdict.UNSUPPORTED)
    for row in reversed(rows):
        if row.cell == cell.id and row.claim == claim and row.verdict not in nothing:
            yield row
