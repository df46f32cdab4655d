"""Audit a running container: watch executions, collect the evidence, judge it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.errors import GuestRefusal, TestbedError
from harness.guest.probe import Session, run_script, script
from harness.rootless.audit.judge import audit
from harness.rootless.audit.model import AuditReport, Evidence

PACKAGE = "harness.rootless.audit"
LIFETIME = 1800  # seconds after which a forgotten watcher ends by itself
CONTAINER = "rootless-audit"
WAIT_COMMAND = ("/bin/busybox", "sleep", "600")


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

    def audit(self, *, pid: int, api_socket: str, user: str, subject: str = "") -> AuditReport:
        """Judge the container whose init is ``pid``, with what was executed since the start."""
        seen = self.collect(pid=pid, api_socket=api_socket, user=user)
        return audit(Evidence.from_json(seen, subject))


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


def container_pid(client: Session, api_socket: str, container: str) -> int:
    """The init's process id, as docker tells it.

    Rootless too that is the host's number: RootlessKit makes no PID namespace by default.
    """
    told = client.run(
        *_docker(api_socket), "inspect", "-f", "{{.State.Pid}}", container, check=False
    )
    pid = told.stdout.strip()
    if not pid.isdecimal() or pid == "0":
        raise GuestRefusal(
            f"the container {container} does not run",
            hint="read its log",
            detail=(told.stderr + told.stdout).strip(),
        )
    return int(pid)


def audit_docker(
    root: Session,
    client: Session,
    *,
    user: str,
    api_socket: str,
    image: str = "busybox",
    command: Sequence[str] = WAIT_COMMAND,
    run_options: Sequence[str] = (),
    start: Callable[[], object] | None = None,
    subject: str = "",
) -> AuditReport:
    """Run one container as ``client`` on the engine behind ``api_socket`` and audit it.

    ``start`` restarts the daemon, so that its helpers are watched as well.  ``user`` is whom
    test 6 is about.
    """
    docker = _docker(api_socket)
    with watch(root) as watching:
        if start is not None:
            start()
        made = client.run(
            *docker, "run", "-d", "--name", CONTAINER, *run_options, image, *command, check=False
        )
        try:
            if made.exit_status:
                raise GuestRefusal("docker run refused", detail=made.stderr.strip())
            pid = container_pid(client, api_socket, CONTAINER)
            return watching.audit(pid=pid, api_socket=api_socket, user=user, subject=subject)
        finally:
            client.run(*docker, "rm", "-f", CONTAINER, check=False)


def _docker(api_socket: str) -> tuple[str, ...]:
    if not api_socket.startswith("/"):
        raise TestbedError(
            f"not the path of an API socket: {api_socket!r}", hint="pass an absolute path"
        )
    return ("docker", "-H", f"unix://{api_socket}")
