"""What to say of a name that nothing has."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MOST = 4


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Those of *known* that somebody who wrote *name* may have meant, the likeliest first."""
    names = {one.lower(): one for one in known}
    return [names[one] for one in get_close_matches(name.lower(), names, n=MOST, cutoff=0.6)]


def instead(name: str, known: Iterable[str], kind: str) -> str:
    """``the nearest: …`` where there are some, else all of them: ``known cells: …``."""
    known = list(known)
    if near := nearest(name, known):
        return f"the nearest: {', '.join(near)}"
    return f"known {kind}: {', '.join(known) or 'none'}"
