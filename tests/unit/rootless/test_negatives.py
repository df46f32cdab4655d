"""The guests that `tests/vm` breaks on purpose are data: what they name exists."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.rootless.expectations import RULES
from harness.rootless.traits import TRAITS

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "tests" / "vm" / "negatives").glob("*.toml"))
KNOWN = {"name", "ci", "cell", "cold", "hook", "kernel_args", "select", "turns", "keeps", "suspect"}


def cases(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(path.read_text())["negative"]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_case_names_exists(path: Path) -> None:
    for case in cases(path):
        assert set(case) <= KNOWN, case["name"]
        claims = {*case["turns"], *case.get("keeps", [])}
        known = {*RULES, *TRAITS, "package-needs"}  # test_traits.py tells that one
        assert claims <= known, f"{case['name']}: no rule {claims - known}"
        for word in case["select"].split():
            if ".py" in word:
                file, _, function = word.partition("::")
                text = (ROOT / "scenarios" / file).read_text()
                assert f"def {function.partition('[')[0]}" in text, f"{case['name']}: {word}"


def test_each_has_a_name_of_its_own() -> None:
    names = Counter(case["name"] for path in FILES for case in cases(path))
    assert [name for name, count in names.items() if count > 1] == []
