"""Overlay networks: what a swarm of one node does with the system's daemon, and with a user's."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout, Result
from harness.rootless import cable, engine, rootful
from harness.rootless.engine import Docker
from harness.session.decide import Decider

pytestmark = [pytest.mark.network, pytest.mark.nightly]

NETWORK = "across"
PEER = "peer"
SECONDS = 60.0
AGAIN = 4
STACK = "10.0.2.100"  # slirp4netns gives it to the namespace of the daemon


def attaches(docker: Docker, address: str) -> tuple[str, str, CommandTimeout | None]:
    """Make a swarm and an overlay network in it, and let one container on it ping another:
    ``works`` or the step that fails, what was tried, and what the engine gave up waiting for."""
    on_it = ("--network", NETWORK, engine.IMAGE)
    steps = {
        "swarm": (("swarm", "init", "--advertise-addr", address), ("swarm", "leave", "--force")),
        "network": (("network", "create", "--driver", "overlay", "--attachable", NETWORK),
                    ("network", "rm", NETWORK)),
        "attaching": (("run", "-d", "--name", PEER, *on_it, "sleep", "600"), ("rm", "-f", PEER)),
        "reaching": (("run", "--name", "asker", *on_it, "ping", "-c", "3", PEER),
                     ("rm", "-f", "asker")),
    }  # fmt: skip
    transcript = ""
    for step, (words, undo) in steps.items():
        try:
            result = patiently(docker, words, undo)
        except CommandTimeout as late:
            return f"{step} fails", f"{transcript}{late.detail}", late
        transcript += re.sub(r"--token \S+", "--token TOKEN", f"{result.transcript}\n")
        if not result.ok:
            return f"{step} fails", transcript, None
    return "works", transcript, None


def patiently(docker: Docker, words: Sequence[str], undo: Sequence[str]) -> Result:
    """The command, again where the manager was slower than the daemon's twenty seconds.
    :class:`CommandTimeout` where it stays so."""
    for _ in range(AGAIN):
        try:
            return docker(*words, check=False, timeout=SECONDS)
        except CommandTimeout:
            docker(*undo, check=False, timeout=SECONDS)
    return docker(*words, check=False, timeout=SECONDS)


@pytest.mark.claims("M15.rootful_control", "M15")
def test_overlay_network(guest: Guest, docker: Docker, decide: Decider) -> None:
    """A container gets onto an overlay network of the system's daemon, and not of a user's."""
    cable.lay(guest)
    control = rootful.start(guest)
    seen, transcript, late = attaches(control, cable.NEAR)
    if late:
        raise late
    decide("M15.rootful_control", seen, transcript)
    control("rm", "-f", PEER, check=False)
    control("swarm", "leave", "--force", check=False, timeout=SECONDS)
    if seen != "works":
        decide.not_applicable("M15", "inconclusive: the system's daemon has none either")
        return
    seen, transcript, _ = attaches(docker, STACK)  # given up is how it fails
    # time="2026-11-22T10:32:42Z" level=error msg="..." error="..."
    told = re.findall(r"level=error (.{,300})", engine.daemon_log(guest, 1000))
    errors = dict.fromkeys(text for text in told if "kernel parameter" not in text)
    decide("M15", seen, "\n".join([transcript, *list(errors)[:4]]))
