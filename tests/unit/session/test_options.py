"""The order in which scenarios run on several cells."""

from types import SimpleNamespace
from typing import Any

from harness.session.options import in_turns


def test_scenarios_begin_with_another_cell_in_turn() -> None:
    items: list[Any] = [SimpleNamespace(nodeid=f"test_x.py::{name}[{cell}]")
                        for name in ("one", "two", "three") for cell in ("a", "b")]  # fmt: skip
    names = [item.nodeid.removeprefix("test_x.py::") for item in in_turns(items)]
    assert names == ["one[a]", "one[b]", "two[b]", "two[a]", "three[a]", "three[b]"]


def test_one_cell_keeps_its_order() -> None:
    items: list[Any] = [SimpleNamespace(nodeid=f"test_x.py::{name}[a]") for name in "zyx"]
    assert in_turns(items) == items
