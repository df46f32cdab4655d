"""What a bug is: a trait to induce, a thing to try, what that then says, and what cures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.distros.base import Distro
from harness.errors import UsageError
from harness.guest.facts import Facts
from harness.guest.guest import Guest
from harness.names import instead
from harness.rootless.inducers import CannotInduce

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced here"
CANNOT = "cannot be shown here"


@dataclass(frozen=True)
class Case:
    """A guest that a bug is shown on, and the distro that says how things are cured there."""

    guest: Guest
    distro: Distro

    @property
    def facts(self) -> Facts:
        return self.guest.facts

    def remedy(self, trait: str) -> str:
        """The distro's own hints and remedies for *trait*, word for word as root.

        Raises :class:`CannotInduce` where the distro has none.
        """
        hints = self.distro.hints_for(trait)
        if not hints:
            raise CannotInduce(f"{self.distro.id} documents no remedy for {trait}")
        lines = [line for hint in hints for line in hint.commands_for(self.guest.access.user)]
        return "\n".join(
            self.guest.root.run("sh", "-c", line, check=False).transcript for line in lines
        )


Act = Callable[[Case], str]  # its transcript
Reason = Callable[[Facts], str]  # empty for none


def never(facts: Facts) -> str:
    return ""


@dataclass(frozen=True)
class Bug:
    """``symptom`` and ``healthy`` are regular expressions, searched in the transcript of
    ``attempt``: with the trait the first is found, without it the second and not the first.

    ``control`` is what is tried without the trait, where the trait is the way of trying.
    """

    name: str
    tracker: str  # "moby 42302"
    url: str
    seen_on: str  # as reported
    summary: str
    cause: str
    trait: str  # what is induced, in words
    attempt: Act
    symptom: str
    healthy: str
    induce: Act | None = None
    cure: Act | None = None
    cured_by: str = ""
    control: Act | None = None
    state: str = "prepared"
    native: Reason = never  # the fact by which a guest has the trait without inducing
    fixed: Reason = never  # the fact by which the trait does no harm
    cannot: Reason = never  # the fact by which the trait cannot be had


BUGS: dict[str, Bug] = {}


def add(bug: Bug) -> None:
    """Register a bug."""
    if bug.name in BUGS:
        raise ValueError(f"two bugs named {bug.name}")
    BUGS[bug.name] = bug


def find(name: str) -> Bug:
    """The bug called *name*; :class:`UsageError` with the known names for none."""
    if name not in BUGS:
        raise UsageError(f"there is no bug {name!r}; {instead(name, BUGS, 'bugs')}",
                         command="harness bug list")  # fmt: skip
    return BUGS[name]


def expected(bug: Bug, facts: Facts) -> tuple[str, str]:
    """What :func:`reproduce` should come to on a guest with these facts, and the fact behind it."""
    if reason := bug.cannot(facts):
        return CANNOT, reason
    if reason := bug.fixed(facts):
        return NOT_REPRODUCED, reason
    return REPRODUCED, bug.native(facts)
