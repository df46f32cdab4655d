"""Which source an image comes from: a function of what there is."""

from __future__ import annotations

import pytest

from harness.image.choose import CHOICES, SOURCES, Choice, Standing, choose

READY, FETCHABLE, MISSING = (Standing(s, f"it is {s}") for s in ("ready", "fetchable", "missing"))


@pytest.mark.parametrize(
    ("upstream", "built", "twin", "chosen"),
    [
        (READY, READY, READY, "upstream"),
        (FETCHABLE, READY, READY, "built"),
        (MISSING, MISSING, READY, "twin"),
        (MISSING, MISSING, MISSING, ""),
    ],
)
def test_auto(upstream: Standing, built: Standing, twin: Standing, chosen: str) -> None:
    assert choose("auto", {"upstream": upstream, "built": built, "twin": twin}).source == chosen


@pytest.mark.parametrize("wanted", SOURCES)
def test_what_is_asked_for_is_not_replaced(wanted: str) -> None:
    standings = dict.fromkeys(SOURCES, READY)
    assert choose(wanted, standings) == Choice(wanted, "it is ready")
    standings[wanted] = MISSING
    assert choose(wanted, standings) == Choice("", f"{wanted}: it is missing")


def test_the_reason_tells_what_was_passed_over() -> None:
    choice = choose("auto", {"upstream": FETCHABLE, "built": READY})
    assert choice.reason == "it is ready; upstream: it is fetchable"
    assert choose("auto", {}).reason == "upstream: there is none; built: there is none;" \
                                        " twin: there is none"  # fmt: skip


def test_the_choices() -> None:
    assert CHOICES == ("auto", "upstream", "built", "twin")
