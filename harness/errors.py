"""The errors that cross rooms.  Each carries what to do next.

``TestbedError``  the harness, the host or the machinery failed: never a finding.
``UsageError``    the caller asked for something that does not exist or is malformed.
``GuestRefusal``  the guest answered, and the answer is no: material for a verdict.
"""

from __future__ import annotations


class HarnessError(Exception):
    """What happened, what to do next, and a command that can be pasted."""

    def __init__(self, what: str, *, hint: str = "", command: str = "", detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.command = command
        self.detail = detail

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.hint, self.command, self.detail))

    def __str__(self) -> str:
        lines = [self.what]
        if self.hint:
            lines.append(f"next: {self.hint}")
        if self.command:
            lines.append(f"  $ {self.command}")
        if self.detail:
            lines.append(self.detail)
        return "\n".join(lines)


def _rebuild(
    kind: type[HarnessError], what: str, hint: str, command: str, detail: str
) -> HarnessError:
    return kind(what, hint=hint, command=command, detail=detail)


class TestbedError(HarnessError):
    """The test bed is broken; the distro is not to blame.  Exit status 16."""

    __test__ = False  # the name begins with Test, but pytest must not collect it


class RestoreError(TestbedError):
    """A saved state did not come back to life."""


class UsageError(HarnessError):
    """Bad input: an unknown cell, a broken file, a wrong digest.  Exit status 4."""


class GuestRefusal(HarnessError):
    """The guest works but will not reach the state asked for, for example because the
    daemon does not start.  Scenarios turn this into verdicts."""
