"""Cgroup drivers and resource limits (P17, P18, M12, M25)."""

from __future__ import annotations

import re

from harness.guest.facts import Facts
from harness.rootless.expectations.derive import cgroup_driver, limit
from harness.rootless.expectations.model import OTHERWISE, Prediction, not_applicable, rule
from harness.rootless.expectations.sources import MANUAL, MOBY, PHOTON
from harness.rootless.expectations.start import needs_daemon, needs_engine
from harness.rootless.traits import assume, trait

# What scenarios ask for, and what the container's cgroup file then holds.
FLAGS = {"memory": "--memory=64m", "cpu": "--cpus=0.5", "pids": "--pids-limit=50"}
FILES = {
    "memory": ("memory.max", "67108864"),
    "cpu": ("cpu.max", "50000 100000"),
    "pids": ("pids.max", "50"),
}
# The same files where the hierarchy is of version 1, below /sys/fs/cgroup.
FILES_V1 = {
    "memory": "memory/memory.limit_in_bytes",
    "cpu": "cpu/cpu.cfs_quota_us",
    "pids": "pids/pids.max",
}
ASPECTS = {"memory": "memory", "cpu": "cpus", "pids": "pids"}
LIMITS = f"{PHOTON}, 'Limitations'; {MANUAL}, 'Limiting resources'"

# What `docker run` says where a limit's controller is not the user's (dockerd; runc, which before
# engine 20.10.8 is to limit swap as well, and does so first), where nobody gives the container a
# scope (runc 1.0.0-rc93 and 1.1: what follows differs with what systemd or the bus said), and what
# `docker top` says where the container has no cgroup.
NOT_DELEGATED = (
    r"NanoCPUs can not be set|/(cpu|memory(\.swap)?|pids)\.max: no such file or directory"
)
NO_SCOPE = r"(unable to apply|applying) cgroup configuration"
NO_CGROUP = r"(getting|unable to get) all container pids"


# What it says where the controller is not in the user's slice, where dockerd looks for it.
_UNSUPPORTED = "Your kernel does not support {} capabilities or the cgroup is not mounted. {}"
DISCARDED = {
    "memory": _UNSUPPORTED.format("memory limit", "Limitation discarded."),
    "pids": _UNSUPPORTED.format("PIDs limit", "PIDs limit discarded."),
}


def refusal(stderr: str) -> str:
    """Why `docker run` with a limit failed, in the words of :func:`derive.limit`; OTHERWISE for
    whatever no document speaks of."""
    if re.search(NOT_DELEGATED, stderr):
        return "error"
    return "no container" if re.search(NO_SCOPE, stderr) else OTHERWISE


def top_failure(stderr: str) -> str:
    """Why `docker top` failed, in the words of M12.top."""
    return "fails" if re.search(NO_CGROUP, stderr) else OTHERWISE


def because(facts: Facts) -> str:
    return (
        f"cgroup {facts.cgroup}, systemd {facts.systemd}, cgroup driver "
        f"{cgroup_driver(facts) or 'refused'}, delegated "
        f"{' '.join(facts.delegated) or 'nothing'} of the slice's "
        f"{' '.join(facts.slice_controllers) or 'nothing'}, user session "
        f"{'yes' if facts.user_session else 'no'}, engine {facts.engine}"
    )


def _limit_rules(controller: str) -> None:
    aspect = ASPECTS[controller]
    name, text = FILES[controller]

    def effect(facts: Facts) -> Prediction:
        return Prediction(limit(facts, controller), because(facts))

    def content(facts: Facts) -> Prediction:
        found = limit(facts, controller)
        values = {"enforced": text, "ignored": "unlimited"}
        return Prediction(values.get(found, found), because(facts))

    effect.__doc__ = (
        f"A container with {FLAGS[controller]} that tries to exceed it: ``enforced``, "
        "``ignored`` (it runs, the limit has no effect), ``error`` (`docker run` fails as the "
        "controller is not there) or ``no container`` (none gets a cgroup)."
    )
    content.__doc__ = (
        f"{name} in the container's cgroup with {FLAGS[controller]}: the text, ``unlimited`` "
        "(max, or no such file), or as before where `docker run` fails."
    )
    rule(f"P17.{aspect}", source=LIMITS)(needs_daemon(effect))
    rule(f"P17.{name.replace('.', '_')}", source=LIMITS)(needs_daemon(content))


for _controller in FLAGS:
    _limit_rules(_controller)


@rule("P17.cgroup_version", source=LIMITS)
@needs_daemon
def cgroup_version(facts: Facts) -> Prediction:
    """`docker info --format {{.CgroupVersion}}`, as text."""
    if not cgroup_driver_reported(facts):
        return not_applicable(f"engine {facts.engine} does not report a cgroup version")
    return Prediction("2" if facts.cgroup == "v2" else "1", because(facts))


def cgroup_driver_reported(facts: Facts) -> bool:
    return facts.engine_version >= (20, 10)


@rule("P18", source=f"{PHOTON}, 'Limitations'")
@needs_daemon
def ignored(facts: Facts) -> Prediction:
    """`docker run` with all of FLAGS: ``ignored`` if it exits 0 and no limit is in effect."""
    if cgroup_driver(facts) != "none":
        return not_applicable(f"the cgroup driver is not none: {because(facts)}")
    return Prediction("ignored", because(facts))


@rule("M25", source=f"{MOBY}, 'Daemon'")
@needs_daemon
def driver(facts: Facts) -> Prediction:
    """`docker info --format {{.CgroupDriver}}`."""
    return Prediction(cgroup_driver(facts), because(facts))


@rule("M25.systemd_setting", source=f"{MANUAL}, 'Limiting resources'")
@needs_engine
def systemd_setting(facts: Facts) -> Prediction:
    """A daemon with ``--exec-opt native.cgroupdriver=systemd``: ``starts`` or ``refused``."""
    if facts.engine_version < (20, 10):
        return not_applicable(f"engine {facts.engine} has no cgroup support in rootless mode")
    possible = facts.cgroup == "v2" and facts.systemd > 0
    return Prediction("starts" if possible else "refused", because(facts))


@rule("M25.cgroupfs_setting", source=f"{MANUAL}, 'Limiting resources'")
@needs_daemon
def cgroupfs_setting(facts: Facts) -> Prediction:
    """The cgroup driver that `docker info` names with ``--exec-opt native.cgroupdriver=cgroupfs``,
    or how the start fails."""
    if facts.engine_version < (20, 10):
        return not_applicable(f"engine {facts.engine} has no cgroup support in rootless mode")
    if trait("cgroup-driver-setting").probe(facts) != "unset":
        return not_applicable("daemon.json has a cgroup driver: the daemon wants only one")
    return Prediction(cgroup_driver(assume(facts, {"cgroup-driver-setting": "cgroupfs"})),
                      because(facts))


@rule("M12", source=f"{MOBY}, 'Restrictions'")
@needs_daemon
def cgroups(facts: Facts) -> Prediction:
    """``supported`` if the container has a cgroup of its own below the user's manager
    (`/proc/PID/cgroup` of its init names the container), else ``unsupported``."""
    supported = cgroup_driver(facts) == "systemd"
    return Prediction("supported" if supported else "unsupported", because(facts))


@rule("M12.top", source=f"{MOBY}, 'Restrictions'")
@needs_daemon
def top(facts: Facts) -> Prediction:
    """`docker top CONTAINER`: ``works`` if it exits 0 and lists the process, ``fails`` if it finds
    no cgroup (NO_CGROUP)."""
    works = cgroup_driver(facts) == "systemd"
    return Prediction("works" if works else "fails", because(facts))


@rule("M25.no_session", source=f"{MOBY}, 'Client'")
@needs_daemon
def no_session(facts: Facts) -> Prediction:
    """`docker info --format {{.CgroupDriver}}` of a daemon that was started without a systemd
    user session (through `su -`): the same as with one, as nobody looks."""
    changed = assume(facts, {"user-session": "no"})
    return Prediction(cgroup_driver(changed), because(changed))
