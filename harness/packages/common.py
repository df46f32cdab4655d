"""What all managers share: the lock, and whose fault a failure is."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.errors import TestbedError, UsageError
from harness.guest.session import CommandFailed, CommandTimeout, Result, Session

INSTALL_SECONDS = 180.0  # with hardware acceleration
LOCK_SECONDS = 300.0  # of the host's clock: first boot may still be installing something
QUERY_SECONDS = 60.0
PAUSE = 2.0
# Every process whose name is one of the words: its id and its command line.
_WHO = """
for name; do
    for comm in /proc/[0-9]*/comm; do
        [ "$(cat "$comm" 2>/dev/null)" = "$name" ] || continue
        pid=${comm#/proc/}; pid=${pid%/comm}
        echo "process $pid ($(tr '\\0' ' ' < "/proc/$pid/cmdline" | sed 's/ *$//'))"
    done
done
"""


@dataclass(frozen=True)
class Repository:
    """Packages to install from, which are not verified.  ``url`` is a file: or http(s): URL."""

    name: str
    url: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", self.name):
            raise UsageError(f"{self.name!r} is no name for a repository",
                             hint="lower-case letters, digits, dots, dashes")  # fmt: skip
        if not re.fullmatch(r"[\x21-\x7e]+", self.url):
            raise UsageError(f"{self.url!r} is no URL of a repository")


@dataclass(frozen=True)
class Signs:
    """Patterns in what a manager prints.  A package that does not exist, or conflicts, has no
    sign of its own: whatever is not one of these is the distro's no."""

    locked: re.Pattern[str]
    broken: re.Pattern[str]  # downloads, indexes, the clock, room: the test bed's trouble
    holder: re.Pattern[str]  # group 1: who holds the lock, where the manager says so


def signs(locked: str, broken: str, holder: str = r"(?!)()") -> Signs:
    flags = re.IGNORECASE | re.MULTILINE
    return Signs(*(re.compile(text, flags) for text in (locked, broken, holder)))


def environment(**more: str) -> Mapping[str, str]:
    return MappingProxyType({"LC_ALL": "C", **more})  # what is read is English


class Tool:
    """Runs a manager as root.  ``at`` is another root than / (``--installroot``); ``patience``
    the seconds to wait for somebody else's lock."""

    NAME = ""
    SIGNS = signs("(?!)", "(?!)")
    PROCESSES: tuple[str, ...] = ()  # names of those who may hold the lock
    FINE = frozenset({0})  # the exit statuses of success
    ENVIRONMENT = environment()

    def __init__(self, root: Session, *, at: str = "", patience: float = LOCK_SECONDS) -> None:
        self._root = root
        self._at = at
        self._patience = patience

    def shell(self, line: str, answer: str = "") -> str:
        """A piece of shell that calls the manager, or a part of it.  See :meth:`_do`."""
        return self._result("sh", "-c", line, answer=answer).transcript

    def refresh(self) -> str:
        raise NotImplementedError

    def refresh_only(self, path: str) -> str:
        return self.refresh()

    def _do(self, *argv: str) -> str:
        """Run *argv*, once nobody else holds the lock; the transcript.

        Raises :class:`CommandFailed` (a refusal) where the manager says no, and
        :class:`TestbedError` for a lock held too long, a download that failed or did not end, or a
        broken index."""
        return self._result(*argv).transcript

    def _result(self, *argv: str, answer: str = "") -> Result:
        began = time.monotonic()
        while True:
            try:
                result = self._root.run(*argv, input=answer or None, env=self.ENVIRONMENT,
                                        timeout=INSTALL_SECONDS, check=False)  # fmt: skip
            except CommandTimeout as error:
                if self.SIGNS.locked.search(error.detail):
                    raise self._held(error.detail) from error
                raise TestbedError(
                    f"{self.NAME} did not end: {error.what}",
                    hint="a mirror that holds a download looks like this: look at it, and at the"
                         " guest's network", detail=error.detail,
                ) from error  # fmt: skip
            said = f"{result.stdout}\n{result.stderr}"
            if self._succeeded(result):
                return result
            if not self.SIGNS.locked.search(said):
                break
            if time.monotonic() - began > self._patience:
                raise self._held(said)
            time.sleep(min(PAUSE, self._patience))
        found = self.SIGNS.broken.search(said)
        if found:
            line = next(one for one in said.splitlines() if found[0].splitlines()[0] in one)
            raise TestbedError(
                f"{self.NAME} could not get what it needs: {line.strip()[:200]}",
                hint="look at the mirror, and at the guest's network, clock and disk",
                detail=result.transcript[-4000:],
            )
        raise CommandFailed(result)

    def _succeeded(self, result: Result) -> bool:
        return result.exit_status in self.FINE

    def _held(self, said: str) -> TestbedError:
        told = self.SIGNS.holder.search(said)
        who = told[1].strip() if told else self._who()
        return TestbedError(
            f"{self.NAME} is locked by {who or 'nobody who runs: the lock was left behind'}; "
            f"waited {self._patience:.0f} s",
            hint="end that process, or wait for the first boot to finish",
            detail=said[-2000:],
        )

    def _who(self) -> str:
        found = self._root.sh(_WHO, *self.PROCESSES, check=False).stdout.splitlines()
        return ", ".join(found)

    def _ask(self, *argv: str) -> Result:
        return self._root.run(*argv, env=self.ENVIRONMENT, timeout=QUERY_SECONDS, check=False)


def words(packages: tuple[str, ...]) -> tuple[str, ...]:
    """*packages* as they are, once none of them would be an option."""
    for name in packages:
        if not name or name.startswith("-") or name != name.strip():
            raise UsageError(f"{name!r} is no name of a package")
    return packages
