"""What each claim predicts on a machine: :func:`predict` from a key and the facts.

A rule about a change that the scenario makes (a knob set to 0, a binary out of PATH) assumes
that change itself.  It gives the same answer on facts read before the change and after it, and
induced changes never look like drift.
"""

from __future__ import annotations

import difflib

from harness.errors import UsageError
from harness.guest.facts import Facts
from harness.rootless.expectations import (  # noqa: F401
    cgroup,
    daemon,
    examples,
    forwarding,
    helpers,
    identity,
    ids,
    install,
    installed,
    instructions,
    kernel,
    lasting,
    lines,
    missing,
    network,
    outward,
    paths,
    ports,
    security,
    setuptool,
    storage,
    uninstalling,
    usage,
)
from harness.rootless.expectations.model import RULES, Prediction, Rule, not_applicable

__all__ = ["RULES", "Prediction", "Rule", "find", "not_applicable", "observe", "predict"]


def find(key: str) -> Rule:
    if key in RULES:
        return RULES[key]
    near = difflib.get_close_matches(key, RULES, n=5, cutoff=0.3)
    aspects = [name for name in RULES if RULES[name].claim == key.partition(".")[0]]
    raise UsageError(
        f"there is no rule {key!r}",
        hint=f"the rules nearest to it: {', '.join(aspects or near)}",
    )


def predict(key: str, facts: Facts) -> Prediction:
    """What a claim, or one aspect of it, predicts on a machine with these facts."""
    return find(key).predict(facts)


def observe(key: str) -> str:
    """What a scenario looks at to decide the rule, and in which words."""
    return " ".join((find(key).predict.__doc__ or "").split())
