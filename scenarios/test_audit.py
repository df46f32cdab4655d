"""Is it rootless at all: the audit of the user's own daemon."""

from __future__ import annotations

import pytest

from harness.distros.base import Distro
from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.packages import manager
from harness.rootless import engine
from harness.rootless.audit.judge import root_mapped
from harness.rootless.engine import IMAGE, Docker
from harness.rootless.looking import WAIT, Look, look, users_client
from harness.session.decide import Decider

pytestmark = [pytest.mark.audit]

WORD = "said inside"
SAID = "said at the start"
INIT = "/usr/bin/docker-init"


@pytest.mark.claims("P1", "R2", "R7", "R6", "D1", "D3", "D4", "M2", "R4")
def test_rootless(guest: Guest, decide: Decider) -> None:
    """No process of the daemon, its helpers or a container is root or was given a piece of it.

    Looked at twice: as the user finds the daemon, behind whatever the client speaks to, and
    once more while it is restarted, which shows the helpers at work.
    """
    client, api_socket = users_client(guest)
    found = look(guest, client, api_socket, subject="the daemon as it was found")
    evidence = str(found.report)
    decide("R6", _container_root(found), evidence)
    decide("D1", _owner(found), evidence)
    decide("D3", _namespace(found), evidence)
    decide("D4", _namespace_owner(found), evidence)

    try:
        restarted = look(
            guest, client, api_socket, subject="the daemon restarted",
            start=lambda: engine.restart(guest),
        )  # fmt: skip
    except GuestRefusal as refusal:
        # Not "not rootless": where a fact explains it, the claims do not apply.
        for key in decide.undecided():
            decide(key, refusal.what, f"{evidence}\n{refusal.detail}")
        return
    evidence = f"{evidence}\n{restarted.report}"
    verdicts = {found.verdict, restarted.verdict}
    for key in ("P1", "R2", "R7"):
        decide(key, "rootless" if verdicts == {"rootless"} else "not rootless", evidence)
    for key in ("M2", "R4"):
        decide(key, restarted.gains, evidence)


def _container_root(seen: Look) -> str:
    init = seen.evidence.init
    return "root" if 0 in init.uids or root_mapped(init) else "not root"


def _owner(seen: Look) -> str:
    if not seen.daemons:
        return "no dockerd behind the socket"
    return "root" if any(0 in daemon.uids for daemon in seen.daemons) else "non-root"


def _namespace(seen: Look) -> str:
    if not seen.daemons:
        return "no dockerd behind the socket"
    above = {namespace.inode for namespace in seen.evidence.userns}
    spaces = {daemon.userns for daemon in seen.daemons}
    if seen.evidence.initial_userns in spaces:
        return "the initial user namespace"
    return "own user namespace" if spaces <= above else "the container is outside of it"


def _namespace_owner(seen: Look) -> str:
    owners = [namespace.owner for namespace in seen.evidence.userns]
    if not owners:
        return "no user namespace"
    return "owner is root" if 0 in owners else "owner is the user"


@pytest.mark.claims("R1")
def test_manage(docker: Docker, decide: Decider) -> None:
    """A user without privileges creates, runs, enters, stops, starts, kills and removes containers,
    and reads what they say."""
    saying = ("sh", "-c", f'echo "{SAID}"; exec "$@"', "sh", *WAIT)
    steps = {
        "create": docker("create", "--name", "made", IMAGE, "true", check=False),
        "run": docker("run", "-d", "--name", "running", IMAGE, *saying, check=False),
        "exec": docker("exec", "running", "echo", WORD, check=False),
    }
    there = known(docker)
    steps["stop"] = docker("stop", "-t", "0", "running", check=False)
    stopped = known(docker)
    steps["logs"] = docker("logs", "running", check=False)  # all of it, as the container has ended
    steps["start"] = docker("start", "running", check=False)
    started = known(docker)
    steps["kill"] = docker("kill", "running", check=False)
    killed = known(docker)
    steps["remove"] = docker("rm", "made", "running", check=False)
    left = known(docker)
    # An exit status is a word: what came of it is what the daemon then lists.
    came = {
        "create": "made Created" in there.stdout,
        "run": "running Up" in there.stdout,
        "exec": steps["exec"].stdout.strip() == WORD,
        "stop": "running Exited" in stopped.stdout,
        "logs": steps["logs"].stdout.strip() == SAID,
        "start": "running Up" in started.stdout,
        "kill": "running Exited" in killed.stdout,
        "remove": left.ok and not {"made", "running"} & set(left.stdout.split()),
    }
    done = " ".join(name for name, result in steps.items() if result.ok and came[name])
    looks = (*steps.values(), there, stopped, started, killed, left)
    decide("R1", done, "\n".join(look.transcript for look in looks))


@pytest.mark.claims("R1.init")
def test_init(guest: Guest, docker: Docker, distro: Distro, decide: Decider) -> None:
    """A container of the user's may have the engine's own first process."""
    package = manager(distro.package_manager, guest.root).owner(INIT)
    if not package:
        decide.not_applicable("R1.init", f"no package brings {INIT}")
        return
    run = docker.run("--init", IMAGE, "cat", "/proc/1/comm", check=False)
    decide("R1.init", run.stdout.strip() if run.ok else f"exit {run.exit_status}", run)


def known(docker: Docker) -> Result:
    """The containers that there are, and what each does."""
    return docker("ps", "-a", "--format", "{{.Names}} {{.Status}}", check=False)
