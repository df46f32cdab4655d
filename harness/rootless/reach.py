"""Which predictions of a rule the guests that were probed have called for, and which are left.

A rule that has only ever predicted one value was never seen to turn: a scenario that always
answers the same would pass.  Nothing here is written down by hand.  The values a rule has are
found by changing the facts of a probed guest, one trait at a time, and all of them together to
what each distro is documented to have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.distros import registry
from harness.errors import UsageError
from harness.guest.facts import Facts
from harness.results.model import Value
from harness.rootless.expectations.model import Rule
from harness.rootless.traits import TRAITS, as_documented


@dataclass(frozen=True)
class Reach:
    """``seen``: the values predicted so far, as they print.  ``missing``: the others, each with
    a change of the facts that would call for it."""

    rule: Rule
    seen: tuple[str, ...]
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``both`` ways seen, ``one`` way of several, ``fixed`` (one value whatever the facts)
        or ``never`` applied."""
        if len(self.seen) > 1:
            return "both"
        if not self.seen:
            return "never"
        return "one" if self.missing else "fixed"


def variants(facts: Facts) -> Iterator[tuple[str, Facts]]:
    """Machines one trait away from *facts*, then those that distros are documented to be."""
    distros = registry.all_distros()
    for name, trait in TRAITS.items():
        documented = [d.traits[name] for d in distros if name in d.traits]
        for value in dict.fromkeys((*trait.values, *documented)):
            try:
                changed = trait.assume(facts, value)
            except UsageError:
                continue
            if changed != facts:
                yield f"{name} {value}", changed
    for distro in distros:
        yield f"all traits of {distro.id}", as_documented(facts, distro.traits)


def reach(
    rules: Iterable[Rule], probed: Sequence[Facts], bases: Sequence[Facts],
    decided: Mapping[str, Sequence[Value]],
) -> list[Reach]:
    """Each rule over the facts *probed*, and over what scenarios have *decided* (rule key →
    values that were expected, where a scenario changed its guest); *bases* are the facts that
    are varied to learn what else there is."""
    others = [variant for base in bases for variant in variants(base)]
    found = []
    for rule in rules:
        said = [rule.predict(facts) for facts in probed]
        values = [one.value for one in said if one.applies] + list(decided.get(rule.key, ()))
        seen = tuple(dict.fromkeys(map(repr, values)))
        missing: dict[str, str] = {}
        for change, facts in others:
            prediction = rule.predict(facts)
            if prediction.applies and repr(prediction.value) not in seen:
                missing.setdefault(repr(prediction.value), change)
        found.append(Reach(rule, seen, missing))
    return found
