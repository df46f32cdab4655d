"""Whether the rootless daemon starts on a machine, and the one word for why it does not."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from harness.guest.facts import Facts
from harness.rootless.expectations.derive import cgroup_driver, network_driver, storage_driver
from harness.rootless.expectations.model import Prediction, not_applicable
from harness.rootless.expectations.versions import engine_at_least
from harness.rootless.traits import trait

# Reason → what the log then says, as a regular expression.  The first that matches decides.
MESSAGES: dict[str, str] = {
    "XDG_RUNTIME_DIR": "XDG_RUNTIME_DIR needs to be set",
    "rootlesskit": "rootlesskit needs to be installed",
    "unknown network mode": "error: unknown network mode: ",
    "network driver": r"slirp4netns \(>= v0\.4\.0\).* needs to be installed",
    "operation not permitted": "fork/exec /proc/self/exe: operation not permitted",
    "no space left on device": "fork/exec /proc/self/exe: no space left on device",
    "permission denied": "fork/exec /proc/self/exe: permission denied",
    "subuid": r'No subuid ranges found for user \d+ \("[^"]+"\)',
    "subgid": r'No subgid ranges found for user \d+ \("[^"]+"\)',
    # What follows is why: it was not found, or was not permitted to.
    "newgidmap": r"failed to setup UID/GID map: newgidmap \d+ \[[\d ]+\] failed: ",
    "newuidmap": r"failed to setup UID/GID map: newuidmap \d+ \[[\d ]+\] failed: ",
    "tun": "setting up tap",
    "storage driver": 'error initializing graphdriver|configured driver "[^"]+" not available',
    "cgroup driver": "native.cgroupdriver",
    "ip_tables": "can't initialize iptables table",
    "iptables": "(?i)iptables not found",
}


def reason_in(log: str) -> str:
    """The reason that a log of ``dockerd-rootless.sh`` shows; empty for none known."""
    return next((reason for reason, text in MESSAGES.items() if re.search(text, log)), "")


def namespace_failure(facts: Facts) -> str:
    """Why ``rootlesskit true`` fails, or nothing."""
    kit = facts.binary("rootlesskit")
    if not kit:
        return "rootlesskit"
    if reason := userns_failure(facts):
        return reason
    # Of a process that belongs to root newuidmap writes no map for a user.
    return "newuidmap" if kit.setuid_root else ""


def userns_failure(facts: Facts) -> str:
    """Why no program of the user gets a user namespace with subordinate ids, or nothing."""
    if facts.sysctls.get("kernel.unprivileged_userns_clone") not in (None, "1"):
        return "operation not permitted"
    if facts.sysctls.get("user.max_user_namespaces") == "0":
        return "no space left on device"
    if not facts.subuid:
        return "subuid"
    if not facts.subgid:
        return "subgid"
    for name in ("newuidmap", "newgidmap"):
        if trait(name).probe(facts) in ("missing", "powerless"):
            return name
    return ""


def start_failure(facts: Facts) -> str:
    """Why ``dockerd-rootless.sh`` does not come up: a key of MESSAGES, or nothing."""
    if not facts.xdg_runtime_dir and not facts.user_session:
        return "XDG_RUNTIME_DIR"
    if not facts.binary("rootlesskit"):
        return "rootlesskit"
    if not network_driver(facts):
        # The script of 28.5.2 says that one is needed, and goes on without; 29.0's ends there.
        goes_on = engine_at_least(facts, "28.5.2") and not engine_at_least(facts, "29.0")
        return "unknown network mode" if goes_on else "network driver"
    return namespace_failure(facts) or _daemon_failure(facts)


def _daemon_failure(facts: Facts) -> str:
    if "tun" not in facts.modules and "tun" in facts.modules_blocked:
        return "tun"
    if not storage_driver(facts):
        return "storage driver"
    if not cgroup_driver(facts):
        return "cgroup driver"
    if facts.daemon_json.get("iptables") is False:
        return ""
    if not facts.iptables:
        return "iptables"
    if facts.iptables == "legacy" and "ip_tables" not in facts.modules:
        return "ip_tables"  # cannot be loaded from inside a user namespace
    return ""


def start(facts: Facts) -> str:
    """``starts``, or ``fails: `` and a key of MESSAGES."""
    reason = start_failure(facts)
    return f"fails: {reason}" if reason else "starts"


Rule = Callable[[Facts], Prediction]


def needs_engine(function: Rule) -> Rule:
    @functools.wraps(function)
    def guarded(facts: Facts) -> Prediction:
        if not facts.engine:
            return not_applicable("no engine is installed")
        return function(facts)

    return guarded


def needs_daemon(function: Rule) -> Rule:
    """The claim says something about a running rootless daemon."""

    @functools.wraps(function)
    def guarded(facts: Facts) -> Prediction:
        if reason := start_failure(facts):
            return not_applicable(f"the rootless daemon does not start here: {reason}")
        return function(facts)

    return needs_engine(guarded)


def needs_own_network(function: Rule) -> Rule:
    """The claim says something about a dockerd in RootlessKit's network namespace, where the
    starting script leaves it before 29.5."""

    @functools.wraps(function)
    def guarded(facts: Facts) -> Prediction:
        if engine_at_least(facts, "29.5"):
            return not_applicable(f"engine {facts.engine} leaves dockerd in the machine's network "
                                  "namespace: RootlessKit's --detach-netns")
        return function(facts)

    return needs_daemon(guarded)


def needs_containers(function: Rule) -> Rule:
    """The claim says something about a running container."""

    @functools.wraps(function)
    def guarded(facts: Facts) -> Prediction:
        if cgroup_driver(facts) == "systemd" and not facts.user_session:
            return not_applicable("no container starts: cgroup driver systemd, no user session")
        if storage_driver(facts) == "fuse-overlayfs" and not facts.fuse_device:
            return not_applicable("no container starts: fuse-overlayfs without /dev/fuse")
        return function(facts)

    return needs_daemon(guarded)


def needs_tool(function: Rule) -> Rule:
    """The claim says something about dockerd-rootless-setuptool.sh, which 20.10 brought."""

    @functools.wraps(function)
    def guarded(facts: Facts) -> Prediction:
        if not engine_at_least(facts, "20.10"):
            return not_applicable(f"engine {facts.engine} has no setup tool: it came with 20.10")
        if not facts.setuptool:
            return not_applicable("no dockerd-rootless-setuptool.sh is installed")
        return function(facts)

    return needs_engine(guarded)
