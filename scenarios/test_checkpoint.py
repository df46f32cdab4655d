"""Checkpoints: what criu does for the system's daemon, and not for a user's."""

from __future__ import annotations

import pytest

from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.packages import manager
from harness.rootless import attempt, engine, rootful
from harness.rootless.engine import Docker
from harness.rootless.expectations.model import OTHERWISE
from harness.session.decide import Decider

pytestmark = [pytest.mark.info, pytest.mark.nightly]

CRIU = "criu"
SECONDS = 60.0
WORDS = ("run", "-d", "--name", "frozen", "--network", "none", engine.IMAGE, "sleep", "600")


def checkpoint(docker: Docker) -> tuple[str, str, str]:
    """``works`` if a running container can be written down, ``criu fails`` if that cannot; the
    last line said; all of it.

    Starting from what was written is tried as well, and decides nothing: engines differ in it.
    """
    docker(*WORDS)
    written = docker("checkpoint", "create", "frozen", "one", check=False, timeout=SECONDS)
    transcript = written.transcript
    if written.ok:
        again = docker("start", "--checkpoint", "one", "frozen", check=False, timeout=SECONDS)
        transcript += f"\n{again.transcript}"
    docker("rm", "-f", "frozen", check=False)
    lines = written.stderr.strip().splitlines() or ["nothing was said"]
    failed = "criu fails" if f"{CRIU} failed" in written.stderr else OTHERWISE
    return ("works" if written.ok else failed), lines[-1], transcript


@pytest.mark.claims("M14")
def test_checkpoint(guest: Guest, docker: Docker, distro: Distro, decide: Decider) -> None:
    """A checkpoint that the system's daemon can make cannot be made by the user's."""
    packages = manager(distro.package_manager, guest.root)
    packages.refresh()
    if not packages.versions(CRIU):
        decide.not_applicable("M14", f"inconclusive: {distro.package_manager} offers no {CRIU}")
        return
    packages.install(CRIU)
    seen, said, control = checkpoint(rootful.start(guest, {"experimental": True}))
    if seen != "works":
        decide.not_applicable("M14", f"inconclusive: the system's daemon cannot either: {said}")
        return
    started = attempt.begin(guest, "--experimental")
    if started.outcome != "starts":
        decide("M14", started.outcome, started.evidence)
        return
    seen, _, users = checkpoint(docker)
    decide("M14", seen, f"rootful:\n{control}\nrootless:\n{users}")
