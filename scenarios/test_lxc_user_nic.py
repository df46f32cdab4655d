"""lxc-user-nic as the network stack, which has to be allowed to the user by name."""

from __future__ import annotations

import pytest

from harness.distros.base import Distro
from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.packages import manager
from harness.rootless import attempt, engine, kit
from harness.rootless.attempt import Attempt
from harness.rootless.engine import Docker
from harness.session.decide import Decider

pytestmark = [pytest.mark.network, pytest.mark.nightly]

NAME = "lxc-user-nic"
BRIDGE = "lxcbr0"
ALLOWED = "/etc/lxc/lxc-usernet"
ADDRESS = "ip -4 -o address show dev \"$1\" | awk '{ sub(\"/.*\", \"\", $4); print $4 }'"


def start(guest: Guest) -> Attempt:
    """The daemon with lxc-user-nic for its network, wherever the distro keeps that."""
    binary = guest.facts.binary(NAME)
    if binary is None:
        raise GuestRefusal(f"the package brings no {NAME}")
    flags = f"--lxc-user-nic-binary={binary.path} --lxc-user-nic-bridge={BRIDGE}"
    return attempt.begin(guest, env={
        "DOCKERD_ROOTLESS_ROOTLESSKIT_NET": NAME, "DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS": flags,
    })  # fmt: skip


@pytest.mark.claims("M31.without_entry", "M31.with_entry", "M31.traffic")
def test_lxc_user_nic(guest: Guest, docker: Docker, distro: Distro, decide: Decider) -> None:
    """The daemon starts on LXC's bridge once the user may use that, and containers get out."""
    packages = manager(distro.package_manager, guest.root)
    packages.refresh()
    if not packages.versions("lxc"):
        for key in decide.undecided():
            decide.not_applicable(key, f"{distro.package_manager} offers no lxc")
        return
    packages.install("lxc")
    facts = guest.probe()
    guest.root.sh("systemctl start lxc-net.service")
    address = guest.root.sh(f"PATH=$PATH:/usr/sbin:/sbin; {ADDRESS}", BRIDGE).stdout.strip()
    if not address:
        raise GuestRefusal(f"{BRIDGE} has no address")

    guest.root.write(ALLOWED, "")
    refused = start(guest)
    seen = "starts" if refused.outcome == "starts" else "fails"
    decide("M31.without_entry", seen, refused.evidence, facts=facts)

    guest.root.write(ALLOWED, f"{guest.access.user} veth {BRIDGE} 10\n")
    allowed = start(guest)
    arguments = kit.arguments(guest)
    seen = "starts" if allowed.outcome == "starts" else "fails"
    decide("M31.with_entry", seen, f"{allowed.evidence}\n{arguments.transcript}", facts=facts)
    # Not ping, which needs the kernel's leave for the user's group.
    asked = docker.run(engine.IMAGE, "nc", "-w", "60", address, "22", timeout=90, check=False)
    got = "answers" if asked.stdout.startswith("SSH-") else "no answer"
    decide("M31.traffic", got, asked, facts=facts)
