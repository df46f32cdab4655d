"""Switches and modules of the kernel: the daemon's failure without them, and the cures."""

from __future__ import annotations

import pytest

from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.rootless import attempt
from harness.rootless.expectations import predict
from harness.rootless.expectations.kernel import MODULES
from harness.session.decide import Decider

pytestmark = [pytest.mark.helpers, pytest.mark.state("prepared")]

CLONE = "kernel.unprivileged_userns_clone"
NAMESPACES = "user.max_user_namespaces"
BROKEN = ("without", "start")
CURED = ("cured", "start_cured")


def turn(guest: Guest, knob: str, value: str) -> None:
    guest.root.sh('PATH=$PATH:/usr/sbin sysctl -w "$1=$2"', knob, value)


def cure(guest: Guest, distro: Distro, hint: str) -> str:
    """Run a documented remedy as root, to the letter."""
    commands = distro.hint(hint).commands_for(guest.access.user)
    return "\n".join(guest.root.run("sh", "-c", line).transcript for line in commands)


def applies(guest: Guest, decide: Decider, *keys: str) -> bool:
    """Whether the claims say anything here; if not, they are decided with that."""
    if predict(keys[0], guest.facts).applies:
        return True
    for key in keys:
        decide(key, None)
    return False


def ask(guest: Guest, decide: Decider, claims: tuple[str, ...], aspects: tuple[str, ...],
        said: str = "") -> None:  # fmt: skip
    """What the tool says and how a start ends, for every claim that is about this."""
    for aspect, attempted in zip(aspects, (attempt.check, attempt.begin), strict=True):
        seen = attempted(guest)
        for claim in claims:
            decide(f"{claim}.{aspect}", seen.outcome, f"{said}\n{seen.evidence}")


@pytest.mark.claims("M6.without", "M6.start", "M6.cured", "M6.start_cured",
                    "M7.without", "M7.start", "M7.cured", "M7.start_cured")  # fmt: skip
def test_userns_clone(guest: Guest, distro: Distro, decide: Decider) -> None:
    """Where user namespaces are switched off for users, the hint of 19.03 switches them on."""
    if not applies(guest, decide, *decide.context.keys):
        return
    turn(guest, CLONE, "0")
    ask(guest, decide, ("M6", "M7"), BROKEN)
    said = cure(guest, distro, "userns-clone-19.03")
    ask(guest, decide, ("M6", "M7"), CURED, said)


@pytest.mark.claims("P11.without", "P11.start", "P11.cured", "P11.start_cured")
def test_userns_clone_for_good(guest: Guest, distro: Distro, decide: Decider) -> None:
    """The lasting setting of the switch cures the same failure."""
    if not applies(guest, decide, *decide.context.keys):
        return
    turn(guest, CLONE, "0")
    ask(guest, decide, ("P11",), BROKEN)
    said = cure(guest, distro, "userns-clone")
    ask(guest, decide, ("P11",), CURED, said)


@pytest.mark.claims("M9.without", "M9.start", "M9.cured", "M9.start_cured", "M9.one")
def test_max_user_namespaces(guest: Guest, distro: Distro, decide: Decider) -> None:
    """No user namespaces are allowed until the documented number of them is."""
    if not applies(guest, decide, *decide.context.keys):
        return
    turn(guest, NAMESPACES, "1")
    one = attempt.check(guest)
    decide("M9.one", one.outcome, one.evidence)
    turn(guest, NAMESPACES, "0")
    ask(guest, decide, ("M9",), BROKEN)
    said = cure(guest, distro, "max-user-namespaces")
    ask(guest, decide, ("M9",), CURED, said)


def unloaded(guest: Guest, decide: Decider) -> bool:
    """Whether legacy iptables's modules could be taken out; if not, the claims are decided so."""
    removed = guest.root.sh(
        'PATH=$PATH:/usr/sbin modprobe -r "$@"', *reversed(MODULES), check=False
    )
    if not guest.root.run("test", "-d", "/sys/module/ip_tables", check=False).ok:
        return True
    for key in decide.context.keys:  # a firewall's rules hold it
        decide.not_applicable(key, f"ip_tables is in use: {removed.stderr.strip()}")
    return False


@pytest.mark.claims("M8.without", "M8.start", "M8")
def test_iptables_modules(guest: Guest, distro: Distro, decide: Decider) -> None:
    """Legacy iptables needs its modules loaded from outside; loading them is the cure."""
    if not applies(guest, decide, *decide.context.keys):
        return
    if not unloaded(guest, decide):
        return
    ask(guest, decide, ("M8",), BROKEN)
    (hint, *_) = distro.hints_for("ip_tables-module")
    said = cure(guest, distro, hint.name)
    seen = attempt.check(guest)
    decide("M8", seen.outcome, f"{said}\n{seen.evidence}")


@pytest.mark.claims("M8.nft_start")
def test_nft_needs_no_modules(guest: Guest, decide: Decider) -> None:
    """Where iptables is nft's, the daemon starts without the modules of the legacy one."""
    if not applies(guest, decide, "M8.nft_start") or not unloaded(guest, decide):
        return
    seen = attempt.begin(guest)
    decide("M8.nft_start", seen.outcome, seen.evidence)
