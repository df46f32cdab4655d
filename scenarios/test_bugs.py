"""Reported bugs, each shown and shown absent.  Left out of a run that does not name them:
``-m bugs``, or this file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.guest.guest import Guest
from harness.matrix import Cell
from harness.rootless.bugs import BUGS, find, reproduce
from harness.session.decide import Decider

pytestmark = [pytest.mark.bugs]


@pytest.mark.parametrize("name", BUGS)
def test_bug(
    name: str, cell: Cell, new_guest: Callable[[str], Guest], decide: Decider
) -> None:
    """The bug shows itself, or does not, as the facts of the guest predict."""
    decide.bug(reproduce(find(name), cell, new_guest))
