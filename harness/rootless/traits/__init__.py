"""Traits: the named properties of a machine that decide how rootless Docker behaves.

A trait reads its value off :class:`~harness.guest.facts.Facts` as a short string (``probe``),
and makes the facts of a machine that would have another value (``assume``).  Both are pure.
Where a distro is documented to have one value and a guest probes another, that is a
:class:`Drift`.
"""

from __future__ import annotations

from harness.rootless.traits import daemon, system, tools, user  # noqa: F401
from harness.rootless.traits.model import (
    TRAITS,
    Drift,
    Trait,
    as_documented,
    assume,
    drifted,
    trait,
)

__all__ = ["TRAITS", "Drift", "Trait", "as_documented", "assume", "drifted", "trait"]
