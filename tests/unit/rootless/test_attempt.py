"""What the setup tool and a failed start said, in the words that rules predict with."""

from __future__ import annotations

import pytest

from harness.guest.session import Result
from harness.rootless import attempt
from harness.rootless.setuptool import ToolResult


def said(exit_status: int, stdout: str = "", stderr: str = "") -> ToolResult:
    return ToolResult(exit_status, stdout, stderr, "")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (said(0, "[INFO] Requirements are satisfied\n"), "satisfied"),
        (said(1, "[INFO] Requirements are satisfied\n"), "unknown answer"),
        (said(1, stderr="[ERROR] Aborting because rootful Docker (/var/run/docker.sock) is "
              "running and accessible. Set --force to ignore.\n"), "refused: rootful Docker"),
        (said(2, stderr="tool: line 250: XDG_RUNTIME_DIR: parameter not set\n"),
         "refused: XDG_RUNTIME_DIR"),
        (said(1, '# Install newuidmap & newgidmap binaries\necho "u:1:2" >> /etc/subuid\n',
              "[ERROR] Missing system requirements.\n"), "missing: newuidmap, subuid"),
        (said(1), "silent failure"),
        (said(1, stderr="[rootlesskit:parent] error: failed to start the child\n"),
         "smoke test fails"),
    ],
)  # fmt: skip
def test_words_of_check(result: ToolResult, words: str) -> None:
    assert attempt.words_of_check(result) == words


@pytest.mark.parametrize(
    ("exit_status", "log", "words"),
    [
        (0, "newuidmap is only mentioned", "starts"),
        (1, 'exec: "newgidmap": executable file not found in $PATH', "fails: newgidmap"),
        (1, "fork/exec /proc/self/exe: no space left on device", "fails: no space left on device"),
        (1, "a tale of woe", "fails: unknown reason"),
    ],
)
def test_words_of_start(exit_status: int, log: str, words: str) -> None:
    assert attempt.words_of_start(Result(("start",), exit_status, log, "", 1.0)) == words
