"""Running the host's tools for a build, with everything they say kept in a log."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.errors import TestbedError

FULL = "No space left on device"
# mmdebstrap lets SIGTERM pass and waits for what it has started, for minutes: all must be told.
_ALL_OF_THEM = """
trap 'trap "" TERM; kill -TERM 0' TERM
"$@" &
wait $!
status=$?
wait
exit $status
"""


def need(*tools: str) -> None:
    for tool in tools:
        if find(tool) is None:
            raise TestbedError(f"{tool} is not installed, and the images need it",
                               hint="install what the harness needs", command="make bootstrap")


def find(tool: str) -> str | None:
    """Where a tool is, as :func:`run` would find it."""
    return shutil.which(tool, path=_search_path())


def run(
    command: Sequence[str], log: Path, env: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> None:  # fmt: skip
    """Run to the end.  A failure raises with the last lines of the log.  ``within`` is a program
    that becomes the command once it has set up what the command runs in.

    The tools die with this process: ``setpriv`` has the kernel tell a shell, even of a kill -9, and
    that tells them all.
    """
    with log.open("a", encoding="utf-8", errors="replace") as out:
        out.write(f"$ {' '.join(command)}\n")
        out.flush()
        child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *within, "sh", "-c", _ALL_OF_THEM, "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": _search_path(), **(env or {})},
            start_new_session=True,
        )
        try:
            status = child.wait()
        except BaseException:
            _end(child)
            raise
    if status:
        # Most callers delete the log with the directory they work in: whoever keeps it says so.
        raise TestbedError(f"{command[0]} failed with status {status}", detail=tail(log))


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-lines:])


def delete(tree: Path) -> None:
    """rm -rf, of a tree that holds directories that even their owner may not change, and in
    which the tools of a builder that was just killed may still be writing their last."""
    for last in (False, False, True):
        for folder, _, _ in os.walk(tree):
            if not os.access(folder, os.W_OK):
                Path(folder).chmod(0o700)
        try:
            shutil.rmtree(tree)
        except OSError:
            if last and tree.exists():
                raise
        if not tree.exists():
            break
        time.sleep(1)


def _end(child: subprocess.Popen[bytes]) -> None:
    """mmdebstrap cleans up after itself when it is asked to end; so ask before insisting."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, how)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=10)
            return


def _search_path() -> str:
    # mke2fs and debugfs live in /sbin, which an ordinary user's PATH lacks on Debian.
    return f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
