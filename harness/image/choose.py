"""Which kind of image a cell boots from: the distro's own, one built here, or a twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SOURCES = ("upstream", "built", "twin")  # the order in which ``auto`` prefers them
CHOICES = ("auto", *SOURCES)


@dataclass(frozen=True)
class Standing:
    """What there is of one source.  ``state``: ``ready`` (in the cache, or made without being
    asked for), ``fetchable`` (a download away) or ``missing``."""

    state: str
    reason: str  # why it is not ready; for one that is ready, what it is


@dataclass(frozen=True)
class Choice:
    """``source`` is empty if there is none.  ``reason`` tells why it is this one, or why none."""

    source: str
    reason: str


MISSING = Standing("missing", "there is none")


def choose(wanted: str, standings: Mapping[str, Standing]) -> Choice:
    """The source of an image.  ``auto`` takes upstream's, then a built one, then a twin.

    Nothing is downloaded because it would be better: that is ``harness image fetch``'s to do.
    """
    passed: list[str] = []
    for source in SOURCES if wanted == "auto" else (wanted,):
        standing = standings.get(source, MISSING)
        if standing.state == "ready":
            return Choice(source, "; ".join([standing.reason, *passed]))
        passed.append(f"{source}: {standing.reason}")
    return Choice("", "; ".join(passed))
