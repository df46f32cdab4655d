"""Rules that predict one fixed value: what the document promises, whatever the facts."""

from __future__ import annotations

from collections.abc import Callable

from harness.guest.facts import Facts
from harness.results.model import Value
from harness.rootless.expectations.model import Prediction, rule
from harness.rootless.expectations.start import Rule, needs_containers

Guard = Callable[[Rule], Rule]


def anywhere(function: Rule) -> Rule:
    """The guard that lets everything pass."""
    return function


def promise(
    key: str, value: Value, observe: str, *, source: str, guard: Guard = needs_containers
) -> None:
    """Register a rule; ``observe`` tells a scenario what to look at."""

    def predict(facts: Facts) -> Prediction:
        return Prediction(value, f"promised without a condition (engine {facts.engine or 'none'})")

    predict.__doc__ = observe
    rule(key, source=source)(guard(predict))
