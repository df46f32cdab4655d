"""Watch executions in a guest, and collect the evidence on a container that runs in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.errors import GuestRefusal
from harness.guest.probe import run_script, script
from harness.guest.session import Session

PACKAGE = "harness.rootless.audit"
LIFETIME = 1800  # seconds after which a forgotten watcher ends by itself


@dataclass(frozen=True)
class Watch:
    """A watcher at work in the guest; ``error`` says why there is none."""

    root: Session
    directory: str
    pid: int
    error: str

    def collect(self, *, pid: int, api_socket: str, user: str) -> dict[str, Any]:
        """The evidence as JSON, as the fixtures of the unit tests keep it."""
        request = {
            "pid": pid,
            "api_socket": api_socket,
            "user": user,
            "directory": self.directory,
        }
        seen: dict[str, Any] = run_script(
            self.root, script("guest_collect.py", PACKAGE), json.dumps(request)
        )
        if "error" in seen:
            raise GuestRefusal(
                f"the audit found no container: {seen['error']}",
                hint="let the container run longer, or read its log",
            )
        return {**seen, "not_watched": self.error}


@contextmanager
def watch(root: Session) -> Iterator[Watch]:
    """Watch executions in the guest.  Start the daemon inside, or test 5 misses newuidmap."""
    started = run_script(root, script("guest_watch.py", PACKAGE), str(LIFETIME))
    if "error" in started:
        yield Watch(root, "", 0, started["error"])
        return
    directory, pid = started["directory"], started["pid"]
    unwatched = ", ".join(started["unwatched"])
    error = f"executions cannot be watched on {unwatched}" if unwatched else ""
    try:
        yield Watch(root, directory, pid, error)
    finally:
        root.run("kill", str(pid), check=False)
        root.run("rm", "-rf", "--", directory, check=False)
