"""Whether the user's daemon comes up with the machine."""

from __future__ import annotations

import pytest

from harness.distros.base import Distro
from harness.guest.facts import Facts
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout, Result
from harness.matrix import Cell
from harness.rootless import engine, traits
from harness.rootless.expectations import daemon, derive, predict
from harness.rootless.renamed import pattern
from harness.session.decide import Decider

pytestmark = [pytest.mark.boot]


def answer(guest: Guest) -> Result:
    """What root hears from the daemon behind the user's socket; the user does not log in."""
    return guest.root.run(
        "docker", "-H", engine.docker_host(guest), "version", "-f", "{{.Server.Version}}",
        check=False,
    )  # fmt: skip


def looks(guest: Guest) -> str:
    """Linger, the user's manager and daemon, as root sees them."""
    return guest.root.sh(
        'uptime -s; echo "linger: $(ls /var/lib/systemd/linger)"; '
        'echo "user@$2: $(systemctl is-active "user@$2.service")"; '
        'loginctl list-sessions --no-legend; echo "of $1:"; ps -o pid,lstart,args -u "$1"',
        guest.access.user, str(guest.facts.uid), check=False,
    ).transcript  # fmt: skip


def reboot(guest: Guest) -> None:
    """Power off and on; afterwards nobody but root has been there."""
    before = guest.root.read("/proc/sys/kernel/random/boot_id")
    guest.reboot()
    assert guest.root.read("/proc/sys/kernel/random/boot_id") != before, "it did not reboot"


def after_boot(guest: Guest, distro: Distro, cell: Cell, decide: Decider) -> Facts:
    """The facts after the boot; declared traits that it has changed are told: the facts would only
    explain what they did to the daemon.  Whether a hint lasts, and a module stays, has claims of
    its own."""
    before, after = guest.facts, guest.probe()
    passing = {hint.trait for hint in (*distro.before, *distro.hints)}
    declared = distro.traits_of(cell)
    known = traits.drifted(before, derive.declared(before, declared))
    for drift in traits.drifted(after, derive.declared(after, declared)):
        own = drift.name in passing or drift.name.endswith("-module")
        if drift not in known and not own:
            decide.trait_drifts(drift.name, drift.documented, drift.probed)
    return after


@pytest.mark.claims("D15.with_linger")
def test_with_linger(guest: Guest, distro: Distro, cell: Cell, decide: Decider) -> None:
    """With lingering on, the daemon runs after a boot before its user has logged in."""
    if not predict("D15.with_linger", guest.facts).applies:
        decide("D15.with_linger", None)
        return
    guest.root.run("loginctl", "enable-linger", guest.access.user)
    reboot(guest)
    observed = "running"
    try:
        guest.wait_until(lambda: answer(guest).ok, "the daemon of the lingering user", 15)
    except CommandTimeout as error:
        if not engine.hopeless(guest, error):
            raise
        observed = "not running"
    evidence = f"{answer(guest).transcript}\n{looks(guest)}"
    facts = after_boot(guest, distro, cell, decide)
    decide("D15.with_linger", observed, evidence, facts=facts)


@pytest.mark.claims("D15.without")
def test_without_linger(guest: Guest, distro: Distro, cell: Cell, decide: Decider) -> None:
    """With lingering off, the daemon waits for its user to log in."""
    if not predict("D15.without", guest.facts).applies:
        decide("D15.without", None)
        return
    guest.root.run("loginctl", "disable-linger", guest.access.user)
    reboot(guest)
    first, seen = answer(guest), looks(guest)
    running = guest.root.run("pgrep", "-u", guest.access.user, "-x",
                             pattern("dockerd", "rootlesskit"), check=False)  # fmt: skip
    observed = "running" if first.ok or running.ok else "not running"
    evidence = f"{first.transcript}\n{seen}"
    if observed == "not running":
        # The control: it was the login that was missing, and nothing else.
        guest.user.run("true")
        try:
            guest.wait_until(lambda: answer(guest).ok, "the daemon of the user", 15)
        except CommandTimeout as error:
            if not engine.hopeless(guest, error):
                raise
            observed = daemon.NEVER
        evidence += f"\nafter a login:\n{answer(guest).transcript}\n{looks(guest)}"
    facts = after_boot(guest, distro, cell, decide)
    decide("D15.without", observed, evidence, facts=facts)
