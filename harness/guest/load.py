"""How busy a guest is, by the load that its kernel says it had in the last minute."""

from __future__ import annotations

import math

FILE = "/proc/loadavg"
IDLE = 0.5  # tasks at work or waiting for a disk, on average
SECONDS = 60.0  # over which the kernel averages


def of(text: str) -> float:
    """What FILE says of the last minute."""
    return float(text.split()[0])


def idle(load: float, waited: float, before: float = 0.0) -> bool:
    """Whether a guest had nothing to do for the *waited* seconds after which it has this *load*.
    What was *before* leaves the average by and by, as what is at work from then on comes in."""
    left = math.exp(-waited / SECONDS)
    return load < before * left + IDLE * (1 - left)
