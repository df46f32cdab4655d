"""Time in which this process stood still, and its guests with it, as on a suspended host.  Nobody
can answer then, and a guest that goes on afterwards has had nothing to do: it is not waited for."""

from __future__ import annotations

import time

SECONDS = 5.0  # more than any two looks at a thing that is waited for are apart

_stood = 0.0  # in all


def noticed(seconds: float) -> None:
    """Between two looks that had to come at once, so much time passed."""
    global _stood
    if seconds > SECONDS:
        _stood += seconds


def sleep(seconds: float) -> None:
    began = time.monotonic()
    time.sleep(seconds)
    noticed(time.monotonic() - began - seconds)


class Stopwatch:
    """Counts the seconds from now on, without those in which this process stood still."""

    def __init__(self) -> None:
        self._since = time.monotonic() - _stood

    @property
    def seconds(self) -> float:
        return time.monotonic() - _stood - self._since
