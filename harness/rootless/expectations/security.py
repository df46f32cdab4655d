"""Security options, and what rootless mode does without (M13, M14, M24, D19)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.promise import promise
from harness.rootless.expectations.sources import MANUAL, MOBY
from harness.rootless.expectations.start import (
    Rule,
    needs_containers,
    needs_daemon,
    needs_engine,
)
from harness.rootless.expectations.versions import engine_at_least, tool_at_least

LIMITATIONS = f"{MOBY}, 'Restrictions'; {MANUAL}, 'Known limitations'"
INFO = f"{MANUAL}, 'Install'"


def _where_apparmor(function: Rule) -> Rule:
    def guarded(facts: Facts) -> Prediction:
        if "apparmor" not in facts.lsms:
            return not_applicable(f"AppArmor is not active: {' '.join(facts.lsms) or 'no LSM'}")
        return function(facts)

    guarded.__doc__ = function.__doc__
    return guarded


@rule("M13", source=LIMITATIONS)
@needs_daemon
@_where_apparmor
def apparmor(facts: Facts) -> Prediction:
    """``name=apparmor`` in `docker info`'s SecurityOptions: ``absent`` or ``present``."""
    return Prediction("absent", f"engine {facts.engine}, rootless, AppArmor active")


@rule("M13.profile", source=LIMITATIONS)
@needs_containers
@_where_apparmor
def profile(facts: Facts) -> Prediction:
    """/proc/PID/attr/current of the container's init, first word."""
    return Prediction("unconfined", f"engine {facts.engine}, rootless, AppArmor active")


@rule("M13.rootful_control", source=LIMITATIONS)
@needs_engine
@_where_apparmor
def rootful_profile(facts: Facts) -> Prediction:
    """The same for a container of the rootful daemon on the same guest."""
    return Prediction("docker-default", f"engine {facts.engine}, rootful, AppArmor active")


promise("M14", "criu fails", "`docker checkpoint create` rootless, where the rootful daemon "
        "can: ``criu fails``, whatever its error, or ``works``.", source=LIMITATIONS)
promise("M24", True, "Whether `docker info`'s SecurityOptions have ``name=rootless``.",
        source=f"{MOBY}, 'Daemon'", guard=needs_daemon)
promise("D19.rootless", True, "Whether `docker info`'s SecurityOptions have ``name=rootless``.",
        source=INFO, guard=needs_daemon)


@rule("D19.seccomp", source=INFO)
@needs_daemon
def seccomp(facts: Facts) -> Prediction:
    """The profile of ``name=seccomp`` in `docker info`'s SecurityOptions."""
    builtin = engine_at_least(facts, "23")
    return Prediction("builtin" if builtin else "default", f"engine {facts.engine}")


@rule("D19.cgroupns", source=INFO)
@needs_daemon
def cgroupns(facts: Facts) -> Prediction:
    """Whether `docker info`'s SecurityOptions have ``name=cgroupns``."""
    value = facts.cgroup == "v2" and engine_at_least(facts, "20.10")
    return Prediction(value, f"cgroup {facts.cgroup}, engine {facts.engine}")


promise("D19.seccomp_filter", "filtered", "`Seccomp:` of /proc/PID/status of a container's init: "
        "``filtered`` for 2 where `unshare -U` is refused in it, or the number.", source=INFO)


promise("D19.capabilities", "00000000a80425fb", "`CapBnd:` of /proc/PID/status of a container's "
        "init: the fourteen that the manual lists.",
        source="Docker manual, docker run, 'Runtime privilege and Linux capabilities'")


@rule("D19.cgroupns_own", source=INFO)
@needs_containers
def own_cgroupns(facts: Facts) -> Prediction:
    """Whether a container's init is in another cgroup namespace than PID 1."""
    return cgroupns(facts)


@rule("D19.context", source=INFO)
@needs_daemon
def context(facts: Facts) -> Prediction:
    """`docker info`'s Context line after `install`, without DOCKER_HOST."""
    return _context(facts)


@rule("D19.context_login", source=INFO)
@needs_daemon
def context_of_a_login(facts: Facts) -> Prediction:
    """The same in a login shell, whatever that sets."""
    return _context(facts)


def _context(facts: Facts) -> Prediction:
    used = bool(facts.setuptool) and tool_at_least(facts, "20.10.19")
    return Prediction("rootless" if used else "default", f"setup tool of engine {facts.engine}")
