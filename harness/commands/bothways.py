"""The second half of ``harness claims --coverage``: rules that were only seen one way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from harness.commands.common import number
from harness.commands.stored import Probed, probed_in_runs, probed_in_states, stored_runs
from harness.guest.facts import Facts
from harness.results.model import Value, Verdict
from harness.results.run import Run
from harness.results.text import one_line
from harness.rootless.expectations.model import Rule
from harness.rootless.reach import Reach, reach

MOST = 3  # missing values that are shown of a rule


@dataclass(frozen=True)
class Survey:
    """What stored runs and saved states exercise of some rules."""

    cells: tuple[str, ...]
    runs: int
    states: int
    found: tuple[Reach, ...]

    def of(self, kind: str) -> list[Reach]:
        return [each for each in self.found if each.kind == kind]

    def to_json(self) -> dict[str, Any]:
        return {
            "cells": list(self.cells), "runs": self.runs, "states": self.states,
            "rules": [
                {"key": each.rule.key, "kind": each.kind, "seen": list(each.seen),
                 "missing": [{"value": value, "by": change}
                             for value, change in each.missing.items()]}
                for each in self.found
            ],
        }  # fmt: skip

    def show(self, console: Console) -> None:
        if not self.cells:
            console.print("no stored run or saved state has facts: run something, then ask again")
            return
        console.print(Text(
            f"facts of {number(len(self.cells), 'cell')} ({', '.join(self.cells)}), from "
            f"{number(self.runs, 'run')} and {number(self.states, 'saved state')}"
        ), soft_wrap=True)  # fmt: skip
        if len(self.cells) == 1:
            console.print("there is only one cell: what depends on the release, the architecture "
                          "or the engine has one value")  # fmt: skip
        console.print(f"{len(self.of('both'))} of {number(len(self.found), 'rule')} "
                      f"predicted more than one value")  # fmt: skip
        for kind, title in (
            ("one", "one value only; missing"),
            ("never", "never applied; missing"),
        ):
            some = self.of(kind)
            if some:
                console.print()
                console.print(Text(f"{title}:", style="bold"))
            for each in some:
                console.print(Text(f"  {_line(each)}"), soft_wrap=True)
        if fixed := self.of("fixed"):
            console.print()
            console.print(Text("one value, whatever trait is changed to a known value: "
                               "only a broken guest turns these:", style="bold"))  # fmt: skip
            console.print(Text(f"  {', '.join(each.rule.key for each in fixed)}"))


def _line(each: Reach) -> str:
    left = [f"{value} ({change})" for value, change in each.missing.items()]
    more = f", and {len(left) - MOST} more" if len(left) > MOST else ""
    missing = "; ".join(left[:MOST]) + more or "nothing that a trait or a distro decides"
    seen = f"{each.seen[0]}; missing " if each.seen else ""
    return one_line(f"{each.rule.key:20} {seen}{missing}")


def survey(rules: Sequence[Rule], where: Path, cache_dir: str | None) -> Survey:
    """Over every run below *where*, and every saved state of the cache."""
    stored = stored_runs(where)
    in_runs, in_states = list(probed_in_runs(stored)), probed_in_states(cache_dir)
    every = [*in_runs, *in_states]
    different = {json.dumps(p.facts.to_json(), sort_keys=True): p.facts for p in every}
    found = reach(rules, list(different.values()), _bases(every), _decided(stored))
    cells = tuple(dict.fromkeys(probed.cell for probed in every))
    return Survey(cells, len(in_runs), len(in_states), tuple(found))


def _bases(every: Sequence[Probed]) -> list[Facts]:
    """One machine of each cell, with an engine and nothing altered where there is one."""
    best: dict[str, Probed] = {}
    for probed in every:
        old = best.get(probed.cell)
        if old is None or _worth(probed) > _worth(old):
            best[probed.cell] = probed
    return [probed.facts for probed in best.values()]


def _worth(probed: Probed) -> tuple[bool, bool]:
    return bool(probed.facts.engine), not probed.altered


def _decided(stored: Sequence[Run]) -> dict[str, list[Value]]:
    nothing = (Verdict.TESTBED_ERROR, Verdict.UNSUPPORTED, Verdict.NOT_APPLICABLE)
    expected: dict[str, list[Value]] = {}
    for run in stored:
        for row in run.rows:
            if row.verdict not in nothing and row.expected is not None:
                expected.setdefault(row.rule, []).append(row.expected)
    return expected
