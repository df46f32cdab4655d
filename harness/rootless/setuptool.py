"""dockerd-rootless-setuptool.sh: run it as the user, and read what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.guest.session import Result, Session

NAME = "dockerd-rootless-setuptool.sh"
SATISFIED = "[INFO] Requirements are satisfied"
NO_SYSTEMD = "systemd not detected"
BY_HAND = f"[INFO] {NO_SYSTEMD}, dockerd-rootless.sh needs to be started manually:"
INSTALL_SECONDS = 60.0

_ERRORS = ("[ERROR]", "[WARNING]")
_WORDS = ("[INFO]", "########## ", "export ")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# "########## BEGIN ##########"
_BLOCK = re.compile(r"#{10} BEGIN #{10}\n(.*?)#{10} END #{10}", re.DOTALL)


@dataclass(frozen=True)
class ToolResult:
    """What the tool printed, without colours; ``instructions`` is what it asks root to run."""

    exit_status: int
    stdout: str
    stderr: str
    transcript: str

    @property
    def satisfied(self) -> bool:
        return self.exit_status == 0 and SATISFIED in self.stdout.splitlines()

    @property
    def instructions(self) -> str:
        match = _BLOCK.search(self.stdout)
        return match.group(1) if match else ""


def run(
    session: Session, *arguments: str, path: str = NAME, env: Mapping[str, str] | None = None,
    timeout: float = INSTALL_SECONDS,
) -> ToolResult:  # fmt: skip
    """Run the tool with *arguments*; any exit status is an answer."""
    return plain(session.run(path, *arguments, env=env, timeout=timeout, check=False))


def plain(result: Result) -> ToolResult:
    """A result of the tool, without its colours."""
    return ToolResult(
        result.exit_status,
        _ANSI.sub("", result.stdout),
        _ANSI.sub("", result.stderr),
        _ANSI.sub("", result.transcript),
    )


def streams(*results: ToolResult) -> str:
    """``apart`` where errors and warnings are on stderr alone and all else on stdout, or the first
    line that is on the wrong one."""
    for result in results:
        for line in result.stdout.splitlines():
            if line.startswith(_ERRORS):
                return f"on stdout: {line}"
        for line in result.stderr.splitlines():
            if line.startswith(_WORDS):
                return f"on stderr: {line}"
    return "apart"
