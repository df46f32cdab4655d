"""How the end of a command is told."""

from __future__ import annotations

import pytest

from harness.guest.session import NO_STATUS, CommandFailed, Result, ended


def result(status: int) -> Result:
    return Result(("sleep", "9"), status, "out\n", "", 0.1)


@pytest.mark.parametrize(
    ("status", "said", "transcript"),
    [
        (3, "exited with 3", "exit status 3"),
        (137, "exited with 137", "exit status 137"),
        (NO_STATUS, "was ended by a signal", "exit status -1 (none: a signal ended it)"),
    ],
)
def test_how_a_command_ended(status: int, said: str, transcript: str) -> None:
    assert ended(status) == said
    assert result(status).transcript.splitlines()[-1] == transcript
    assert CommandFailed(result(status)).what == f"`sleep 9` {said}"
