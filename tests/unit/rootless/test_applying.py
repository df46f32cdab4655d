"""What becomes of a document's line that fails on the way to a state."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.distros.base import Hint
from harness.errors import TestbedError
from harness.packages import manager
from harness.rootless import ladder
from tests.unit.packages.local import Here


def apply(command: str) -> str:
    log: list[str] = []
    guest: Any = SimpleNamespace(access=SimpleNamespace(user="tester"))
    ladder._apply(guest, manager("apt", Here()), [Hint("x", "y", "z", (command,))], log.append)
    return "\n".join(log)


def test_a_download_that_fails_is_no_missing_hint() -> None:
    with pytest.raises(TestbedError, match="Failed to fetch"):
        apply("echo 'E: Failed to fetch http://mirror.example/x' >&2; exit 100")


def test_a_line_that_fails_is_told() -> None:
    assert "no such knob" in apply("echo no such knob >&2; exit 3")


def test_what_it_asks_is_answered() -> None:
    assert "said y" in apply('read -r word; echo "said $word"')
