"""The registry of rules: claim (and aspect) → function of :class:`Facts`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.guest.facts import Facts
from harness.results.model import Value

OTHERWISE = "failed otherwise"  # observed, and never predicted: no document speaks of it


@dataclass(frozen=True)
class Prediction:
    """What a rule says.  ``value`` is compared with the observation by equality.

    ``applies`` False means the claim decides nothing here; ``because`` then names the fact.
    ``because`` always names the facts used, with their values, in one line of prose.
    """

    value: Value
    because: str
    applies: bool = True


@dataclass(frozen=True)
class Rule:
    claim: str
    aspect: str
    source: str  # the document, for example "Docker manual, rootless mode, 'Networking errors'"
    predict: Callable[[Facts], Prediction]

    @property
    def key(self) -> str:
        return f"{self.claim}.{self.aspect}" if self.aspect else self.claim


RULES: dict[str, Rule] = {}


def rule(
    key: str, *, source: str
) -> Callable[[Callable[[Facts], Prediction]], Callable[[Facts], Prediction]]:
    """Register a rule under ``"P15"`` or, where a claim has parts, ``"P15.boundary"``."""
    claim, _, aspect = key.partition(".")

    def register(function: Callable[[Facts], Prediction]) -> Callable[[Facts], Prediction]:
        if key in RULES:
            raise ValueError(f"two rules for {key}")
        RULES[key] = Rule(claim, aspect, source, function)
        return function

    return register


def not_applicable(because: str) -> Prediction:
    return Prediction(None, because, applies=False)
