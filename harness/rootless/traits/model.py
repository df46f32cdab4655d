"""What a trait is, the registry of them, and the comparison with what is documented."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import UsageError
from harness.guest.facts import Binary, Facts
from harness.names import instead

Probe = Callable[[Facts], str]
Assume = Callable[[Facts, str], Facts]


@dataclass(frozen=True)
class Trait:
    """``assume`` leaves facts alone that already have the value, and raises
    :class:`UsageError` for a value the trait cannot have.  ``values`` are all there are, or
    typical ones where the trait is ``open``."""

    name: str
    summary: str
    probe: Probe
    assume: Assume
    values: tuple[str, ...]
    open: bool = False


@dataclass(frozen=True)
class Drift:
    """A guest is not what its distro is documented to be."""

    name: str
    documented: str
    probed: str

    def __str__(self) -> str:
        return f"{self.name}: documented {self.documented}, probed {self.probed}"


TRAITS: dict[str, Trait] = {}


def trait(name: str) -> Trait:
    if name not in TRAITS:
        raise UsageError(f"there is no trait {name!r}; {instead(name, TRAITS, 'traits')}",
                         command="harness trait list")  # fmt: skip
    return TRAITS[name]


def assume(facts: Facts, values: Mapping[str, str]) -> Facts:
    """The facts as if the machine had these values, by trait name."""
    for name in values:
        trait(name)
    for name in TRAITS:  # in this order: the cgroup version before its controllers
        if name in values:
            facts = TRAITS[name].assume(facts, values[name])
    return facts


def drifted(facts: Facts, documented: Mapping[str, str]) -> list[Drift]:
    """The documented traits whose probed value differs."""
    probed = {name: trait(name).probe(facts) for name in documented}
    return [Drift(n, documented[n], probed[n]) for n in documented if probed[n] != documented[n]]


def as_documented(facts: Facts, documented: Mapping[str, str]) -> Facts:
    """The facts with every drifted trait put back to its documented value."""
    return assume(facts, documented)


def add(
    name: str, summary: str, probe: Probe, change: Assume, *values: str, open: bool = False
) -> None:
    """Register a trait; ``change`` is called only for a value the facts do not have."""

    def assume_value(facts: Facts, value: str) -> Facts:
        if probe(facts) == value:
            return facts
        if not open and value not in values:
            raise UsageError(f"trait {name} cannot be {value!r}; it can be {', '.join(values)}")
        return change(facts, value)

    if name in TRAITS:
        raise ValueError(f"two traits named {name}")
    TRAITS[name] = Trait(name, summary, probe, assume_value, values, open)


def add_flag(name: str, summary: str, field: str, yes: str = "yes", no: str = "no") -> None:
    """A trait that is one boolean field of the facts."""
    add(
        name,
        summary,
        lambda f: yes if getattr(f, field) else no,
        lambda f, v: with_field(f, field, v == yes),
        yes,
        no,
    )


def add_words(
    name: str,
    summary: str,
    probe: Callable[[Facts], list[str]],
    change: Callable[[Facts, list[str]], Facts],
    *values: str,
) -> None:
    """A trait that is a list of words in alphabetical order, or ``none``."""
    add(
        name,
        summary,
        lambda f: " ".join(sorted(probe(f))) or "none",
        lambda f, v: change(f, [] if v == "none" else v.split()),
        *values,
        "none",
        open=True,
    )


def count(name: str, value: str) -> int:
    """A number that somebody gave as the value of a trait."""
    if not value.isdecimal():
        raise UsageError(f"trait {name} cannot be {value!r}; it is a number, or none")
    return int(value)


def with_field(facts: Facts, field: str, value: Any) -> Facts:
    changes: dict[str, Any] = {field: value}
    return replace(facts, **changes)


def with_binary(facts: Facts, name: str, **changes: Any) -> Facts:
    """The binary with changes; put into /usr/bin where it was missing."""
    old = facts.binary(name) or Binary(f"/usr/bin/{name}", 0, 0o755)
    return replace(facts, binaries={**facts.binaries, name: replace(old, **changes)})


def without_binary(facts: Facts, name: str) -> Facts:
    return replace(facts, binaries={**facts.binaries, name: None})
