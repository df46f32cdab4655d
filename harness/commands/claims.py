"""``harness claims``: the ledger, and what decides it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from harness.commands import bothways
from harness.commands.common import cache_option
from harness.commands.stored import runs_at
from harness.errors import UsageError
from harness.names import MOST, nearest
from harness.results.grid import short
from harness.results.ledger import LEDGER, TITLES, Claim, claim_order, coverage, load_ledger
from harness.results.terminal import fields, make_console
from harness.rootless import expectations
from harness.rootless.expectations.model import RULES, Rule


@click.command()
@click.argument("claim", required=False)
@click.option("--coverage", "only_coverage", is_flag=True,
              help="only what is not covered: claims without a scenario, rules seen one way only")
@click.option("--runs", "runs_dir", metavar="DIR", help="stored runs (default: runs)")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@cache_option
def claims(
    claim: str | None, only_coverage: bool, runs_dir: str | None, as_json: bool,
    cache_dir: str | None,
) -> None:  # fmt: skip
    """List the documented claims with the scenarios that decide each, or tell all about CLAIM.

    With --coverage: which claims no scenario decides, and which rules have been seen to predict
    one value only, over the facts of all stored runs and saved states, with the values that are
    missing and a change that would call for each.

    \b
    Examples:
      harness claims
      harness claims P15
      harness claims --coverage
      harness claims P15 --coverage
    """
    ledger = load_ledger(LEDGER)
    decided = coverage(ledger, LEDGER.parent)
    if claim is not None:
        chosen, _ = find(ledger, claim)
        ledger = {chosen.id: chosen}
    if only_coverage:
        rules = [rule for name in sorted(ledger, key=claim_order) for rule in rules_of(name)]
        both = bothways.survey(rules, runs_at(runs_dir), cache_dir)
        undecided = [name for name in sorted(ledger, key=claim_order) if not decided[name]]
        if as_json:
            click.echo(json.dumps(
                {"claims": len(ledger), "undecided": undecided, **both.to_json()}, indent=1
            ))  # fmt: skip
            return
        _summary(make_console(), ledger, undecided)
        both.show(make_console())
        return
    if as_json:
        click.echo(json.dumps([_plain(c, decided[c.id]) for c in ledger.values()], indent=1))
        return
    console = make_console()
    if claim is not None:
        (chosen,) = ledger.values()
        _one(console, chosen, decided[chosen.id])
        return
    _list(console, ledger, decided)
    _summary(console, ledger, [name for name in decided if not decided[name]])


def _summary(console: Console, ledger: Mapping[str, Claim], undecided: Sequence[str]) -> None:
    console.print(f"{len(ledger) - len(undecided)} of {len(ledger)} claims are decided "
                  f"by scenarios")  # fmt: skip
    if undecided:
        console.print(f"no scenario decides {', '.join(sorted(undecided, key=claim_order))}")


def find(ledger: Mapping[str, Claim], text: str) -> tuple[Claim, list[Rule]]:
    """The claim that *text* names, and its rules, or the one rule where it names an aspect."""
    name, dot, aspect = text.partition(".")
    name = name.upper()
    if name not in ledger or (dot and f"{name}.{aspect}" not in RULES):
        what = f"there is no {'rule' if name in ledger else 'claim'} {text!r}"
        near = _near(ledger, text)
        raise UsageError(f"{what}; the nearest: {', '.join(near)}" if near else what,
                         command="harness claims")  # fmt: skip
    return ledger[name], [RULES[f"{name}.{aspect}"]] if dot else rules_of(name)


def _near(ledger: Mapping[str, Claim], text: str) -> list[str]:
    name, dot, _ = text.partition(".")
    aspects = [rule.key for rule in rules_of(name.upper())] if dot else []
    return nearest(text, aspects or [*ledger, *RULES]) or aspects[:MOST]


def _plain(claim: Claim, scenarios: Sequence[str]) -> dict[str, Any]:
    rules = [{"key": r.key, "source": r.source, "observe": observe(r)}
             for r in rules_of(claim.id)]  # fmt: skip
    return {**dataclasses.asdict(claim), "rules": rules, "scenarios": list(scenarios)}


def observe(rule: Rule) -> str:
    """What decides a rule, as text."""
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
    fields(console, source=claim.source, applies=claim.applies, observed=claim.decided_by,
            needs=claim.needs)  # fmt: skip
    for rule in rules_of(claim.id):
        fields(console, rule=f"{rule.key}: {observe(rule)}")
    for node in scenarios:
        fields(console, scenario=node)
    if not scenarios:
        fields(console, scenario="none")
