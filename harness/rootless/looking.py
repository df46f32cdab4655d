"""Looking at one container with the audit's eyes: its verdict, and what that was judged on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import TestbedError
from harness.guest.guest import Guest
from harness.guest.session import Session
from harness.rootless import engine, printed
from harness.rootless.audit import AuditReport, Evidence, Watch, audit, watch
from harness.rootless.audit.judge import PRIVILEGE_ALLOWED, gains_privilege, is_helper
from harness.rootless.audit.model import Executable, Process
from harness.rootless.engine import Docker
from harness.rootless.expectations import installed
from harness.rootless.renamed import original

CONTAINER = "looked-at"
WAIT = ("/bin/busybox", "sleep", "600")
# Reads /etc/profile, the user's own and all of ~/.bashrc, as no command of ssh does.
LOGIN = ("bash", "-l", "-i")
_PROGRAMS = """
for name; do echo "$name=$(type -t "$name") $(readlink -f "$(type -P "$name")")"; done
"""
ROOTFUL_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True)
class Look:
    evidence: Evidence
    report: AuditReport
    label: str = ""  # of the container's init, as the security module in charge gives it

    @property
    def verdict(self) -> str:
        return self.report.verdict

    def verdict_by(self, *tests: int) -> str:
        """The verdict; of what is not rootless, also which of the *tests* that are to show it (the
        table in docs/audit.md) pass.  Raises :class:`TestbedError` where one decided nothing."""
        answers = {number: self.report.test(number).passed for number in tests}
        if None in answers.values():
            raise _undecided(self.report)
        passed = [str(number) for number, answer in answers.items() if answer]
        if self.verdict == "rootless" or not passed:
            return self.verdict
        return f"{self.verdict}, and passes {' '.join(passed)}"

    def verdict_as(self, uid: int, *tests: int) -> str:
        """:meth:`verdict_by` *tests* on a container that was to run as *uid*: of one that does
        not, it would be no news."""
        verdict = self.verdict_by(*tests)
        uids = sorted(set(self.evidence.init.uids))
        if uids == [uid]:
            return verdict
        return f"{verdict}, and the container runs as {' '.join(map(str, uids))}"

    @property
    def daemons(self) -> tuple[Process, ...]:
        found = self.evidence.processes
        return tuple(p for p in found if original(p.executable.name, ("dockerd",)))

    @property
    def gained(self) -> tuple[str, ...]:
        """The files that gave a process privilege on the host: by name, but by path where one has
        only the name of a helper."""
        initial = self.evidence.initial_userns
        files = [e.executable for e in self.evidence.executions or ()
                 if gains_privilege(e, initial)]  # fmt: skip
        return tuple(sorted({
            file.path if self._poses(file) else file.name for file in files
        }))  # fmt: skip

    def _poses(self, file: Executable) -> bool:
        return file.name in PRIVILEGE_ALLOWED and not is_helper(file, self.evidence)

    @property
    def gains(self) -> str:
        """In the words of the rules M2 and R4.  Nothing at all gained is an answer of its own:
        without a helper no rootless daemon has started."""
        others = [name for name in self.gained if name not in PRIVILEGE_ALLOWED]
        if others:
            return f"also: {' '.join(others)}"
        return "only helpers" if self.gained else "not even helpers"


def variables(session: Session, *shell: str) -> dict[str, str]:
    """What a *shell* of the user's has of the variables that are heeded (installed.HEEDED)."""
    lines = session.run(*shell, "-c", "env", check=False).stdout.splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: value for name, value in found.items() if name.startswith(installed.HEEDED)}


def programs(session: Session, *shell: str) -> dict[str, str]:
    """What a *shell* of the user's runs by the names of installed.PROGRAMS: its kind in the words
    of bash, and the file."""
    told = session.run(*shell, "-c", _PROGRAMS, "bash", *installed.PROGRAMS, check=False).stdout
    found = (line.partition("=") for line in told.splitlines())
    return {name: value for name, _, value in found if name in installed.PROGRAMS}


def users_client(guest: Guest) -> tuple[Docker, str]:
    """The client as the user has it, and the path of the socket that it speaks to.

    That is whatever DOCKER_HOST or the selected context says, in a login shell.  Where nothing was
    selected, as older setup tools leave it, it is the DOCKER_HOST that they ask the user to export.
    """
    login = variables(guest.user, *LOGIN)
    asked = printed.as_words(guest.user.run(
        "docker", "context", "inspect", "-f", "{{.Name}} {{.Endpoints.docker.Host}}", env=login
    ))  # fmt: skip
    name, host = asked[0], asked[-1]
    if not login.get("DOCKER_HOST") and name == "default" and host == f"unix://{ROOTFUL_SOCKET}":
        return engine.rootless(guest), engine.docker_host(guest).removeprefix("unix://")
    socket = host.removeprefix("unix://") if host.startswith("unix://") else ""
    return Docker(guest.user, env=login), socket


def look(
    guest: Guest, docker: Docker, api_socket: str, *run_options: str, subject: str,
    start: Callable[[], object] | None = None,
) -> Look:  # fmt: skip
    """Run a container with *docker* and audit it, whatever daemon that turns out to reach.

    The container's process is asked for through the same client, so a daemon that hides behind
    the user's socket is found from its container as well as from the socket's owner.  *start*
    restarts the daemon under watch.
    """
    with watch(guest.root) as watching:
        if start is not None:
            start()
        docker("run", "-d", "--name", CONTAINER, *run_options, engine.IMAGE, *WAIT)
        try:
            told = docker("inspect", "-f", "{{.State.Pid}}", CONTAINER)
            return look_at(guest, watching, printed.as_number(told), api_socket, subject)
        finally:
            docker("rm", "-f", CONTAINER, check=False)


def look_at(guest: Guest, watching: Watch, pid: int, api_socket: str, subject: str) -> Look:
    """Audit the running container whose init is *pid*."""
    seen = watching.collect(pid=pid, api_socket=api_socket, user=guest.access.user)
    found = {name: guest.facts.binary(name) for name in PRIVILEGE_ALLOWED}
    helpers = {name: binary.path for name, binary in found.items() if binary}
    evidence = Evidence.from_json(seen, subject, helpers)
    report = audit(evidence)
    if report.verdict == "inconclusive":
        raise _undecided(report)
    return Look(evidence, report, _label(guest.root, pid))


def _undecided(report: AuditReport) -> TestbedError:
    return TestbedError("the audit cannot decide on this guest", detail=str(report))


def confinement(label: str) -> str:
    """The AppArmor profile that confines a process, from its ``attr/current``.

    ``docker-default (enforce)`` is docker-default; ``unconfined`` and a profile that is there only
    to give a name, ``runc (unconfined)``, are ``unconfined``; ``none`` where there is no label.
    """
    words = label.replace("\0", "").split()
    if not words:
        return "none"
    return "unconfined" if words[-1] in ("unconfined", "(unconfined)") else words[0]


def _label(root: Session, pid: int) -> str:
    told = root.run("cat", f"/proc/{pid}/attr/current", check=False)
    return told.stdout.strip("\0\n ")
