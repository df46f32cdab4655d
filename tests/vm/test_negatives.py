"""Each rule's opposite: a guest is broken on purpose, and the right claims turn, no other.

The cases are data, in negatives/*.toml.  One that names no cell runs on CELL.  A ``cold`` one has
a cache of its own, which holds no states.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import CELL, Outcome

QUIET = {"holds", "not-applicable", "known-issue"}


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted((Path(__file__).parent / "negatives").glob("*.toml")):
        found += tomllib.loads(path.read_text())["negative"]
    return found


def parameters() -> list[Any]:
    return [
        pytest.param(case, id=case["name"], marks=[] if case.get("ci") else pytest.mark.nightly)
        for case in cases()
    ]


@pytest.mark.parametrize("case", parameters())
def test_the_right_claims_turn(
    case: dict[str, Any], run_scenarios: Callable[..., Outcome], empty_cache: Path, tmp_path: Path
) -> None:
    arguments = ["--cache-dir", str(empty_cache)] if case.get("cold") else []
    if "hook" in case:
        script = tmp_path / "hook.sh"
        script.write_text(case["hook"]["script"] + "\n")
        arguments += ["--hook", f"{case['hook']['state']}:{script}"]
    if "kernel_args" in case:
        arguments += ["--kernel-args", case["kernel_args"]]
    words = case["select"].split()
    files = [f"scenarios/{word}" for word in words if ".py" in word] or ["scenarios"]
    expression = " ".join(word for word in words if ".py" not in word)
    outcome = run_scenarios(*files, *(["-k", expression] if expression else []), *arguments,
                            cell=case.get("cell", CELL.id))  # fmt: skip
    report = outcome.screen[-6000:]
    for key, verdict in case["turns"].items():
        assert verdict in outcome.verdicts(key), f"{key}: {outcome.verdicts(key)}\n{report}"
        _check_suspects(case, key, outcome.rows[key], report)
    for key in case.get("keeps", []):
        assert outcome.verdicts(key), f"{key} was not decided\n{report}"
        assert outcome.verdicts(key) <= QUIET, f"{key}: {outcome.verdicts(key)}\n{report}"
    turned = {key for key in outcome.rows if not outcome.verdicts(key) <= QUIET}
    # A drifted trait also shows in the row of its own name.
    claims = {key for key in turned if key[:1].isupper()}
    assert claims <= set(case["turns"]), f"also turned: {claims - set(case['turns'])}\n{report}"
    assert outcome.status == expected_status(set(case["turns"].values())), report


def _check_suspects(
    case: dict[str, Any], key: str, rows: list[dict[str, Any]], report: str
) -> None:
    """A finding on a guest that was broken names what broke it."""
    for row in rows:
        if row["verdict"] in ("violated", "drift"):
            told = "\n".join(row["suspects"])
            assert re.search(case.get("suspect", "."), told), f"{key}: {told}\n{report}"


def expected_status(verdicts: set[str]) -> int:
    if verdicts & {"violated", "drift", "flaky"}:
        return 1
    return 16 if "testbed-error" in verdicts else 0
