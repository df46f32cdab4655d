"""Inducing traits: give a guest the value of a trait that another machine has by itself.

For twins, for reproducing bugs, and for showing what a hint cures.  Everything is done as root,
with the means an administrator has; what a kernel lacks cannot be induced, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.errors import TestbedError, UsageError
from harness.guest.guest import Guest
from harness.rootless.inducers import INDUCERS, CannotInduce, Inducer
from harness.rootless.relogin import log_in_again
from harness.rootless.traits import trait


@dataclass(frozen=True)
class Induced:
    """``before`` and ``after`` as probed.  Equal, and ``done`` empty, where there was nothing
    to do."""

    trait: str
    before: str
    after: str
    done: str  # the transcript

    def __str__(self) -> str:
        if not self.done:
            return f"{self.trait}: the guest has {self.before} already"
        return f"{self.trait}: {self.before}, now {self.after}"


def find(name: str, value: str) -> Inducer:
    """Who gives the trait *name* a *value*; :class:`UsageError` where nobody can."""
    trait(name)
    if name not in INDUCERS:
        raise UsageError(
            f"trait {name} cannot be induced; those that can: {', '.join(INDUCERS)}",
            command="harness trait list",
        )
    inducer = INDUCERS[name]
    if not inducer.takes(value):
        raise UsageError(
            f"trait {name} cannot be given the value {value!r}; "
            f"it can be given: {', '.join(inducer.values)}",
            command="harness trait list",
        )
    return inducer


def induce(guest: Guest, name: str, value: str) -> Induced:
    """Make *guest* have *value* for the trait *name*.

    Raises :class:`UsageError` for a trait or value that nobody can induce, and
    :class:`CannotInduce` where this guest cannot have it.  The facts are probed anew.
    """
    inducer = find(name, value)
    before = trait(name).probe(guest.facts)
    if before == value:
        return Induced(name, before, before, "")
    done = inducer.act(guest, value)
    if inducer.relogin:
        log_in_again(guest)
    after = trait(name).probe(guest.probe())
    if after != value:
        raise CannotInduce(f"{name} is still {after}, not {value}", detail=done)
    return Induced(name, before, after, done)


def at_state(
    guest: Guest, wanted: Iterable[tuple[str, str]], log: Callable[[str], None]
) -> None:
    """Induce what the user asked for when a state is made.  What cannot be is the user's to
    know, never a finding: :class:`TestbedError`."""
    for name, value in wanted:
        try:
            log(str(induce(guest, name, value)))
        except CannotInduce as error:
            raise TestbedError(
                f"{guest.cell}: {name}={value} cannot be induced: {error.what}",
                hint="leave it out, or choose a cell that can have it",
                command="harness trait list",
                detail=error.detail,
            ) from error
