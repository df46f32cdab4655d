"""Whether a guest hangs, or is at work: what is late is only then the guest's."""

from __future__ import annotations

import copy
import time
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import TestbedError
from harness.guest import standstill
from harness.guest.guest import Access, Guest
from harness.guest.session import CommandTimeout


def guest(load: str) -> Guest:
    """A guest whose root reads *load* of the last minute, or cannot be asked."""

    def read(_: str) -> str:
        if not load:
            raise TestbedError("the guest is gone")
        return f"{load} 0.80 0.90 1/99 1234"

    console = SimpleNamespace(fatal=lambda: "")
    machine: Any = SimpleNamespace(console=console, running=True, paused=False)
    made = Guest("cell", machine, Access(None, "", "tester"), scale=0.01)  # type: ignore[arg-type]
    made._connections["root"] = SimpleNamespace(alive=True, read=read)  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(
    ("load", "waited", "idle"),
    [
        ("0.04", 30, True),
        ("0.39", 30, False),  # one task at work for half a minute, on a guest that idled before
        ("0.63", 60, False),
        ("0.30", 240, True),
        ("1.20", 240, False),
        ("0.00", 0, False),  # who waited for nothing knows nothing
        ("", 240, False),
    ],
)
def test_only_a_guest_that_idles_hangs(load: str, waited: float, idle: bool) -> None:
    assert bool(guest(load).idle(CommandTimeout("late", waited=waited))) == idle


def test_time_in_which_this_process_stood_still_is_not_waited() -> None:
    """One try, and the host is suspended: after it there is time for another."""
    tries: list[str] = []

    def ready() -> bool:
        tries.append("try")
        if len(tries) == 1:
            time.sleep(0.1)  # longer than the limit
            standstill.noticed(standstill.SECONDS + 1)
        return len(tries) == 2

    guest("0.00").wait_until(ready, "an answer", 5, pause=0.0)
    assert len(tries) == 2


def test_how_long_was_waited_is_known_of_what_never_came() -> None:
    with pytest.raises(CommandTimeout) as caught:
        guest("0.00").wait_until(lambda: False, "an answer", 5, pause=0.01)
    assert caught.value.waited >= 0.05 - 0.01
    assert copy.copy(caught.value).waited == caught.value.waited
