"""What is left of a hint after a reboot, and of limits with and without the hint that delegates
their controllers."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations import cgroup
from harness.rootless.expectations.cgroup import LIMITS
from harness.rootless.expectations.derive import cgroup_driver, limit
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.sources import MANUAL, MOBY
from harness.rootless.expectations.start import needs_containers
from harness.rootless.traits import assume, trait

LASTS, GONE = "lasts", "gone"
FEWER, ALL = "memory pids", "cpu cpuset io memory pids"
# Aspect → the trait that is to lose what limits memory and processes.
UNDELEGATED = {"undelegated": "delegated-controllers", "discarded": "slice-controllers"}
WARNED = "ignored, warned"


def _lasting(key: str, knob: str, value: str, source: str, where: str) -> None:
    def predict(facts: Facts) -> Prediction:
        if facts.sysctls.get(knob) is None:
            return not_applicable(f"{knob} does not exist on kernel {facts.kernel}")
        return Prediction(value, f"the hint writes {knob} to {where}")

    predict.__doc__ = (
        f"{knob} after the hint and a reboot, on a machine that sets it otherwise at boot: "
        "``lasts`` or ``gone``."
    )
    rule(key, source=source)(predict)


_lasting("P11.lasting", "kernel.unprivileged_userns_clone", LASTS,
         "dockerd-rootless-setuptool.sh", "/etc/sysctl.d")  # fmt: skip
_lasting("M9.lasting", "user.max_user_namespaces", LASTS,
         "dockerd-rootless-setuptool.sh", "/etc/sysctl.d")  # fmt: skip
_lasting("P16.lasting", "net.ipv4.ip_unprivileged_port_start", LASTS,
         f"{MANUAL}, 'Exposing privileged ports'", "/etc/sysctl.conf")  # fmt: skip
_lasting("M28.lasting", "net.ipv4.ping_group_range", LASTS,
         f"{MANUAL}, 'Routing ping packets'", "/etc/sysctl.conf")  # fmt: skip
for _key, _knob in (("P16.lasting_file", "net.ipv4.ip_unprivileged_port_start"),
                    ("M28.lasting_file", "net.ipv4.ping_group_range")):  # fmt: skip
    # No known issue has it, so what else takes the knob back at boot is seen on every distro.
    _lasting(_key, _knob, LASTS, "sysctl.d(5), the value of the manual", "/etc/sysctl.d")
_lasting("M7.lasting", "kernel.unprivileged_userns_clone", LASTS,
         f"{MANUAL}, 'Distribution-specific hint', Arch Linux", "/etc/sysctl.conf")  # fmt: skip
_lasting("M6.lasting", "kernel.unprivileged_userns_clone", GONE,
         f"{MOBY}, 'Distribution-specific hint'", "/proc alone")  # fmt: skip
_lasting("M28.lasting_19.03", "net.ipv4.ping_group_range", GONE,
         f"{MOBY}, 'Routing ping packets'", "/proc alone")  # fmt: skip


def _with(facts: Facts, controllers: str) -> Prediction:
    if facts.cgroup != "v2":
        return not_applicable(f"nothing is delegated with cgroup {facts.cgroup}")
    changed = assume(facts, {"delegated-controllers": controllers})
    return Prediction(limit(changed, "cpu"), f"the user's manager is given {controllers}")


@rule("P17.cpus_undelegated", source=LIMITS)
@needs_containers
def undelegated(facts: Facts) -> Prediction:
    """--cpus where the user's manager has no cpu controller: ``error``."""
    return _with(facts, FEWER)


@rule("P17.cpus_delegated", source=LIMITS)
@needs_containers
def delegated(facts: Facts) -> Prediction:
    """--cpus after the manual's hint and a new login: ``enforced``."""
    return _with(facts, ALL)


def fewer(facts: Facts, name: str) -> str:
    """The value of the trait *name* of controllers without memory and pids."""
    has = trait(name).probe(facts).split()
    return " ".join(one for one in has if one not in cgroup.DISCARDED) or "none"


def _undelegated(controller: str, aspect: str, name: str) -> None:
    def predict(facts: Facts) -> Prediction:
        if cgroup_driver(facts) != "systemd":
            return not_applicable(f"no slice is looked at: {cgroup.because(facts)}")
        changed = assume(facts, {name: fewer(facts, name)})
        found = limit(changed, controller)
        value = WARNED if found == "ignored" else found
        return Prediction(value, cgroup.because(changed))

    predict.__doc__ = (
        f"{cgroup.FLAGS[controller]} where the {name} are those of the machine without memory and "
        f"pids: ``error``, or ``{WARNED}`` with the words of cgroup.DISCARDED."
    )
    rule(f"P17.{controller}_{aspect}", source=LIMITS)(needs_containers(predict))


for _controller in cgroup.DISCARDED:
    for _aspect, _name in UNDELEGATED.items():
        _undelegated(_controller, _aspect, _name)
