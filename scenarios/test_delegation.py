"""What becomes of limits whose controllers the user's manager was given, or was not."""

from __future__ import annotations

import pytest

from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout
from harness.rootless import engine
from harness.rootless.engine import Docker
from harness.rootless.expectations import cgroup, lasting, predict
from harness.rootless.inducing import induce
from harness.rootless.relogin import log_in_again
from harness.rootless.traits import trait
from harness.session.decide import Decider

pytestmark = [pytest.mark.cgroup]


@pytest.mark.claims("P17.cpus_undelegated", "P17.cpus_delegated")
def test_delegation(guest: Guest, docker: Docker, distro: Distro, decide: Decider) -> None:
    """--cpus is an error without the controller; the hint and a new login put it in force."""
    if not predict("P17.cpus_delegated", guest.facts).applies:
        decide("P17.cpus_undelegated", None)
        decide("P17.cpus_delegated", None)
        return
    induced = induce(guest, "delegated-controllers", lasting.FEWER)
    decide("P17.cpus_undelegated", *limited(guest, "cpu", str(induced)))

    commands = distro.hint("delegate").commands_for(guest.access.user)
    said = [guest.root.run("sh", "-c", line, check=False).transcript for line in commands]
    log_in_again(guest)
    has = trait("delegated-controllers").probe(guest.probe())
    decide("P17.cpus_delegated", *limited(guest, "cpu", "\n".join([*said, f"delegated: {has}"])))


@pytest.mark.claims("P17.memory_undelegated", "P17.pids_undelegated", "P17.memory_discarded",
                    "P17.pids_discarded")  # fmt: skip
def test_undelegated(guest: Guest, docker: Docker, decide: Decider) -> None:
    """--memory and --pids-limit are an error where their controllers get no further than the user's
    slice; where they do not get there, they are ignored with a warning."""
    for aspect, name in lasting.UNDELEGATED.items():
        if not predict(f"P17.memory_{aspect}", guest.facts).applies:
            for controller in cgroup.DISCARDED:
                decide(f"P17.{controller}_{aspect}", None)
            continue
        induced = induce(guest, name, lasting.fewer(guest.facts, name))
        for controller in cgroup.DISCARDED:
            decide(f"P17.{controller}_{aspect}", *limited(guest, controller, str(induced)))


def limited(guest: Guest, controller: str, said: str) -> tuple[str, str]:
    """What becomes of the limit under the daemon that the new login's manager started."""
    docker = engine.rootless(guest)
    try:
        guest.wait_until(docker.answers, "the daemon after a new login", engine.START_SECONDS)
    except CommandTimeout as error:
        if not engine.hopeless(guest, error):
            raise
        return "no daemon after a new login", f"{said}\n{error}"
    name, wanted = cgroup.FILES[controller]
    script = f"cat /sys/fs/cgroup/{name} 2> /dev/null || echo max"
    result = docker.run(cgroup.FLAGS[controller], "busybox", "sh", "-c", script, check=False)
    evidence = f"{said}\n{result.transcript}"
    if not result.ok:
        return cgroup.refusal(result.stderr), evidence
    if not result.stdout.startswith("max"):
        return ("enforced" if result.stdout.strip() == wanted else "another limit"), evidence
    warned = controller in cgroup.DISCARDED and cgroup.DISCARDED[controller] in result.stderr
    return (lasting.WARNED if warned else "ignored"), evidence
