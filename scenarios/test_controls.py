"""What is not rootless, and has to be told from it: controls of the audit."""

from __future__ import annotations

import pytest

from harness.guest.guest import Guest
from harness.rootless import family, rootful
from harness.rootless.audit import watch
from harness.rootless.engine import Docker
from harness.rootless.looking import ROOTFUL_SOCKET, Look, confinement, look, look_at
from harness.session.decide import Decider

pytestmark = [pytest.mark.audit]

GROUP = "docker"
# Which tests of the audit fail: where a daemon of root remaps nothing, and by a setuid bit.
IN_THE_OPEN, GAINS = (1, 2, 4), 5
# A container runtime that is root only while it sets up: it is given root by the setuid bit,
# makes namespaces that root owns, and hands the container over to the user.
SETUID_RUNTIME = """
set -e
install -m 4755 "$(command -v unshare)" /usr/local/bin/setuid-runtime
mkdir -p /srv/setuid-container/bin
cp "$(command -v busybox)" /srv/setuid-container/bin/busybox
"""
RUN_SETUID = """
/usr/local/bin/setuid-runtime --mount --pid --fork --root=/srv/setuid-container \
    --setgid "$(id -g)" --setuid "$(id -u)" /bin/busybox sleep 600 < /dev/null > /dev/null 2>&1 &
echo $!
"""


@pytest.mark.claims("R3", "R13", "R12", "R14", "M13.rootful_control")
def test_rootful(guest: Guest, decide: Decider) -> None:
    """A container is not rootless under a daemon that is root, however little it may itself be.

    Told apart are a container process that is not root, a user who is let in by the group, and
    a container whose root is remapped; and there AppArmor confines the container.
    """
    daemon = rootful.start(guest)
    user = f"{guest.facts.uid}:{guest.facts.uid}"
    seen = look(guest, daemon, ROOTFUL_SOCKET, "--user", user, subject="docker run --user")
    for key in ("R3", "R13"):
        decide(key, seen.verdict_as(guest.facts.uid, *IN_THE_OPEN), str(seen.report))
    decide("M13.rootful_control", confinement(seen.label), f"attr/current: {seen.label}")

    seen = _as_member(guest)
    let_in = GROUP in seen.evidence.groups
    verdict = seen.verdict_by(*IN_THE_OPEN) if let_in else f"no member of {GROUP}"
    decide("R12", verdict, str(seen.report))

    rootful.start(guest, {"userns-remap": "default"})
    seen = look(guest, daemon, ROOTFUL_SOCKET, subject="userns-remap")
    decide("R14", family.of_remapped(seen), str(seen.report))


def _as_member(guest: Guest) -> Look:
    """A container of the user as a member of the group docker, who afterwards is none."""
    user = guest.access.user
    guest.root.run("usermod", "-aG", GROUP, user)
    login = guest.new_login()
    try:
        member = Docker(login, "--host", f"unix://{ROOTFUL_SOCKET}")
        return look(guest, member, ROOTFUL_SOCKET, subject="a member of the group docker")
    finally:
        login.close()
        guest.root.run("gpasswd", "-d", user, GROUP, check=False)


@pytest.mark.state("prepared")
@pytest.mark.claims("R5", "R19.stand_in")
def test_setuid_runtime(guest: Guest, decide: Decider) -> None:
    """A runtime that works by its setuid bit is none, although its container is the user's."""
    made = guest.root.sh(SETUID_RUNTIME, check=False)
    assert made.ok, made.transcript
    with watch(guest.root) as watching:
        runtime = guest.user.sh(RUN_SETUID).stdout.strip()
        guest.wait_until(lambda: bool(_child(guest, runtime)), "the container", 10)
        init = _child(guest, runtime)
        seen = look_at(guest, watching, int(init), "", "a setuid runtime")
    for key in ("R5", "R19.stand_in"):
        decide(key, seen.verdict_as(guest.facts.uid, GAINS), str(seen.report))


def _child(guest: Guest, pid: str) -> str:
    """The child of *pid*, once it runs what it was started for."""
    found = guest.root.run("pgrep", "-P", pid, "-x", "busybox", check=False)
    return found.stdout.strip()
