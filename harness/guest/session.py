"""Commands on a guest: what every other room sees of a connection."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.errors import GuestRefusal, HarnessError

NO_STATUS = -1  # the server sent none: a signal ended the command


def ended(exit_status: int) -> str:
    """How a command ended, in words that follow its name."""
    return "was ended by a signal" if exit_status == NO_STATUS else f"exited with {exit_status}"


@dataclass(frozen=True)
class Result:
    """A finished command.  ``seconds`` is the time it took as seen from the host.

    ``exit_status`` is NO_STATUS where a signal ended the command."""

    argv: tuple[str, ...]
    exit_status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.exit_status == 0

    @property
    def command(self) -> str:
        return shlex.join(self.argv)

    @property
    def transcript(self) -> str:
        """The command, what it printed and how it ended, as a person would paste it."""
        parts = [f"$ {self.command}"]
        parts += [text.rstrip() for text in (self.stdout, self.stderr) if text.strip()]
        signalled = " (none: a signal ended it)" if self.exit_status == NO_STATUS else ""
        parts.append(f"exit status {self.exit_status}{signalled}")
        return "\n".join(parts)


class CommandFailed(GuestRefusal):
    """A command that had to succeed did not."""

    def __init__(self, result: Result) -> None:
        super().__init__(
            f"`{result.command[:200]}` {ended(result.exit_status)}",
            detail=result.transcript[-4000:],
        )
        self.result = result

    def __reduce__(self) -> tuple[object, ...]:
        return (CommandFailed, (self.result,))


class CommandTimeout(HarnessError):
    """A command did not end in time, although it was waited for ``waited`` seconds.  Whether that
    is a finding is the scenario's to say."""

    def __init__(
        self, what: str, *, hint: str = "", command: str = "", detail: str = "",
        waited: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(what, hint=hint, command=command, detail=detail)
        self.waited = waited

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"waited": self.waited})


class Session(Protocol):
    """One user's login on a guest."""

    user: str

    def run(
        self,
        *argv: str,
        input: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Result:
        """Run *argv*; no shell sees it but the user's login shell, quoted.

        *timeout* in seconds on a host with hardware acceleration: it is scaled where that is
        missing.  With *check*, a non-zero exit raises :class:`CommandFailed`.
        """

    def sh(
        self,
        script: str,
        *args: str,
        input: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Result:
        """Run a constant shell *script* with *args* as its positional parameters."""

    def read(self, path: str) -> str:
        """The text of a file."""

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        """Write a file."""
