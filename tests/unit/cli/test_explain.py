"""``harness explain`` and ``harness claims --coverage``, on runs and states made for it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.guest.facts import Facts
from harness.hypervisor.saved import DISK, MEMORY, SEED, StateStore
from harness.results.model import Row, Verdict
from harness.results.run import CellInfo, HostInfo, RunInfo
from harness.results.store import RunStore
from harness.rootless.expectations.model import RULES
from harness.rootless.reach import reach
from harness.rootless.traits import assume
from tests.unit.cli.conftest import Call
from tests.unit.rootless.conftest import debian_12  # noqa: F401  # a fixture

CELL = "debian-12/x86_64"
ROW = Row("P15", CELL, "scenarios/test_ports.py::test_port_80", Verdict.HOLDS, aspect="low_port",
          expected="refused", observed="refused", evidence="said so")  # fmt: skip


def stored(name: str, facts: Facts | None, *rows: Row, command: tuple[str, ...] = ()) -> None:
    store = RunStore(Path("runs", name))
    host = HostInfo("", "", "", "tcg")
    store.begin(RunInfo(name, "2026-11-22T04:10:22+00:00", ("pytest", *command), "0", host))
    store.add_cell(CellInfo(CELL, "available", facts=facts.to_json() if facts else {}))
    store.add_rows(*rows)
    store.finish(0)


def saved(place: Path, name: str, facts: Facts, **extra: Any) -> None:
    store = StateStore(place / "states")
    workspace = store.workspace()
    for file in (MEMORY, DISK, SEED):
        (workspace / file).write_text("")
    store.publish(
        workspace, key=f"{name}{time.monotonic_ns()}", name=name, cell=CELL, parent="image:x",
        uuid="", extra={"facts": facts.to_json(), **extra},
    )  # fmt: skip


def explained(call: Call, claim: str) -> dict[str, Any]:
    result = call("explain", claim, "--cell", CELL, "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert isinstance(data, dict)
    return data


@pytest.fixture(name="facts")
def _facts(debian_12: Facts) -> Facts:  # noqa: F811
    return debian_12


def test_the_newest_run_says_what_the_facts_are(call: Call, place: Path, facts: Facts) -> None:
    saved(place, "daemon", facts)
    assert explained(call, "P15")["facts"]["kind"] == "state"
    stored("1", facts, ROW)
    stored("2", replace(facts, kernel="6.2"), command=("--kernel-args", "a b"))
    data = explained(call, "p15.low_port")
    assert (data["facts"]["kind"], data["facts"]["name"]) == ("run", "2")
    assert data["facts"]["altered"] == "--kernel-args 'a b'"
    assert data["facts"]["values"]["kernel"] == "6.2"
    (rule,) = data["rules"]
    assert rule["key"] == "P15.low_port"
    assert rule["predicted"]["value"] == "refused"
    assert "ip_unprivileged_port_start 1024" in rule["predicted"]["because"]
    assert rule["observed"]["run"] == "1"
    assert rule["observed"]["verdict"] == "holds"
    assert rule["observed"]["date"].startswith("2026-11-22")


def test_drifted_traits_are_put_back(call: Call, facts: Facts) -> None:
    stored("1", assume(facts, {"port-boundary": "80"}))
    text = call("explain", "P15.low_port", "--cell", CELL).stdout
    assert "predicts    'published' because" in text
    assert "documented  'refused' because" in text
    assert "port-boundary: documented 1024, probed 80" in text
    assert "run 1 of 2026-11-22 04:10" in text
    assert explained(call, "P15.1024")["rules"][0]["documented"]["value"] == "published"


def test_a_state_that_nobody_altered_comes_first(call: Call, place: Path, facts: Facts) -> None:
    saved(place, "booted", facts)
    saved(place, "daemon", facts)
    saved(place, "daemon", facts, hooks=["break.sh"])
    saved(place, "daemon", facts, induced=["prepared:userns-clone=0"])
    found = explained(call, "P15")["facts"]
    assert (found["name"], found["altered"]) == ("daemon", "")


@pytest.mark.parametrize("wrong", ["x", 7, [1], {"modules": [], "modules_blocked": []}])
def test_facts_that_are_none(call: Call, place: Path, facts: Facts, wrong: object) -> None:
    saved(place, "daemon", facts)
    (record,) = (place / "states").glob("*/state.json")
    data = json.loads(record.read_text())
    record.write_text(json.dumps({**data, "extra": {"facts": wrong}}))
    assert explained(call, "P15")["facts"] is None


def test_what_altered_a_state_is_told(call: Call, place: Path, facts: Facts) -> None:
    saved(place, "daemon", facts, induced=["prepared:userns-clone=0"], withheld=["photon-subuid"])
    what = "--induce prepared:userns-clone=0 --withhold photon-subuid"
    assert explained(call, "P15")["facts"]["altered"] == what


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("P99", "--cell", CELL), "there is no claim 'P99'; the nearest: P9"),
        (("P15.lowport", "--cell", CELL), "there is no rule 'P15.lowport'; the nearest: P15.low_p"),
        (("P15", "--cell", "debian12/x86_64"), "no cell matches 'debian12/x86_64'; the nearest: d"),
    ],
)
def test_the_nearest_names_are_told(call: Call, words: tuple[str, ...], said: str) -> None:
    result = call("explain", *words)
    assert result.exit_code == 4
    assert said in result.stderr.splitlines()[0]


def coverage(call: Call, *words: str) -> dict[str, Any]:
    data = json.loads(call("claims", *words, "--coverage", "--json").stdout)
    return {"cells": data["cells"], **{rule["key"]: rule for rule in data["rules"]}}


def test_a_rule_seen_one_way_lacks_the_other(call: Call, facts: Facts) -> None:
    stored("1", facts)
    found = coverage(call, "P15")
    assert found["cells"] == [CELL]
    assert found["P15.low_port"]["kind"] == "one"
    assert found["P15.low_port"]["missing"] == [{"value": "'published'", "by": "port-boundary 80"}]
    text = call("claims", "--coverage").stdout
    assert "there is only one cell" in text
    assert "P15.low_port" in text
    stored("2", assume(facts, {"port-boundary": "80"}))
    assert coverage(call)["P15.low_port"]["kind"] == "both"


def test_a_saved_state_counts_and_so_does_what_a_scenario_made(
    call: Call, place: Path, facts: Facts
) -> None:
    stored("1", facts, replace(ROW, expected="published"))
    assert coverage(call)["P15.low_port"]["kind"] == "both"
    assert coverage(call)["P15.exit"]["kind"] == "one"
    saved(place, "daemon", assume(facts, {"port-boundary": "80"}))
    assert coverage(call)["P15.exit"]["kind"] == "both"


def test_coverage_without_facts(call: Call) -> None:
    assert "no stored run or saved state has facts" in call("claims", "--coverage").stdout


@pytest.mark.parametrize(
    "words", [("claims", "--coverage"), ("explain", "P15", "--cell", CELL)], ids=" ".join
)
@pytest.mark.parametrize("name", ["none", "file", "x" * 300])
def test_runs_that_are_nowhere(
    call: Call, place: Path, words: tuple[str, ...], name: str
) -> None:
    (place.parent / "file").touch()
    result = call(*words, "--runs", name)
    assert (result.exit_code, result.stderr) == (
        4, f"harness: --runs {name}: there is no such directory\n"
    )  # fmt: skip


@pytest.mark.parametrize("words", [("claims", "P15", "--coverage"),
                                   ("explain", "P15", "--cell", CELL, "--json")])  # fmt: skip
def test_a_run_that_cannot_be_read_is_named(
    call: Call, facts: Facts, words: tuple[str, ...]
) -> None:
    for name in ("1", "2"):
        stored(name, facts)
        Path("runs", name, "run.json").write_text("{")
    stored("3", facts)
    result = call(*words)
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("passed over ")
    assert "runs/2/run.json: cannot be read: " in line
    assert line.endswith("; and 1 more")


def test_nobody_is_sent_to_a_cell_that_cannot_boot(call: Call) -> None:
    said = call("explain", "P15.low_port", "--cell", "debian-12/s390x").stdout
    assert "facts       none: debian-12/s390x cannot boot here: Docker manual" in said


def test_kinds_of_rules(facts: Facts) -> None:
    rules = [RULES[key] for key in ("P15.low_port", "D12", "D16", "M8")]
    kinds = [each.kind for each in reach(rules, [facts], [facts], {})]
    assert kinds == ["one", "fixed", "never", "never"]


def test_times_are_told_as_people_read_them() -> None:
    from harness.commands.stored import day

    assert day(datetime(2026, 11, 22, 4, 10, 22, tzinfo=UTC).isoformat()) == "2026-11-22 04:10"
