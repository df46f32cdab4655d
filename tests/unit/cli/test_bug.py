"""``harness bug`` as far as it needs no guest."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.paths import project
from tests.unit.cli.conftest import Call


def test_list(call: Call) -> None:
    result = call("bug", "list")
    assert result.exit_code == 0
    assert "tun-gone  rootlesskit 299, Arch Linux" in result.stdout
    assert "22 bugs" in result.stdout


def test_list_as_json(call: Call) -> None:
    bugs = {entry["name"]: entry for entry in json.loads(call("bug", "list", "--json").stdout)}
    overlay = bugs["overlay2-refused"]
    assert overlay["url"].endswith("/rootlesskit/issues/269")
    assert overlay["distros"]["debian-11"]["expected"] == "reproduced"
    assert overlay["distros"]["debian-12"]["expected"] == "not reproduced here"
    assert "6.1" in overlay["distros"]["debian-12"]["because"]


def test_show(call: Call) -> None:
    said = call("bug", "show", "cpu-not-delegated").stdout
    assert "https://github.com/rootless-containers/rootlesskit/issues/282" in said
    assert "NanoCPUs can not be set" in said


def test_an_unknown_bug_is_wrong_usage(call: Call) -> None:
    for words in (("show", "tun"), ("reproduce", "tun", "--cell", "debian-12/x86_64")):
        result = call("bug", *words)
        assert result.exit_code == 4
        assert "known bugs:" in result.stderr
        assert "tun-gone" in result.stderr


def test_an_unknown_cell_is_wrong_usage(call: Call) -> None:
    result = call("bug", "reproduce", "tun-gone", "--cell", "debian-99/x86_64")
    assert result.exit_code == 4
    assert "debian-12/x86_64" in result.stderr


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (["scenarios"], False),
        (["scenarios", "-m", "ports"], False),
        (["scenarios", "-m", "bugs"], True),
        (["scenarios/test_bugs.py"], True),
    ],
)
def test_a_run_leaves_bugs_out_unless_they_are_named(words: list[str], some: bool) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *words],
        cwd=project(), capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    assert "tests collected" in said
    assert ("test_bugs.py::test_bug" in said) == some
