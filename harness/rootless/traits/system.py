"""Traits of the kernel and of the system around it."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.guest.facts import Facts
from harness.rootless.traits.model import TRAITS, add, add_flag, add_words, count

LIMIT_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
MODULES = ("ip_tables", "nf_tables", "overlay", "br_netfilter", "tun")
SECURITY_MODULES = ("apparmor", "selinux")


def _knob(facts: Facts, knob: str) -> str:
    value = facts.sysctls.get(knob)
    return "absent" if value is None else " ".join(value.split())


def _set_knob(facts: Facts, knob: str, value: str) -> Facts:
    text = None if value == "absent" else value
    return replace(facts, sysctls={**facts.sysctls, knob: text})


def _sysctl(name: str, knob: str, summary: str, *values: str) -> None:
    add(
        name,
        f"{knob}: {summary}",
        lambda f: _knob(f, knob),
        lambda f, v: _set_knob(f, knob, v),
        *values,
        open=True,
    )


def _max_user_namespaces(facts: Facts) -> str:
    value = _knob(facts, "user.max_user_namespaces")
    return value if value in ("0", "absent") else ">0"


def _change_max_user_namespaces(facts: Facts, value: str) -> Facts:
    return _set_knob(facts, "user.max_user_namespaces", "28633" if value == ">0" else value)


def _module(name: str) -> None:
    def probe(facts: Facts) -> str:
        if name in facts.modules:
            return "loaded"
        return "blocked" if name in facts.modules_blocked else "available"

    def change(facts: Facts, value: str) -> Facts:
        loaded, blocked = facts.modules - {name}, facts.modules_blocked - {name}
        return replace(
            facts,
            modules=loaded | {name} if value == "loaded" else loaded,
            modules_blocked=blocked | {name} if value == "blocked" else blocked,
        )

    summary = f"{name} is loaded or built in, or could be loaded, or modprobe would not load it"
    add(f"{name}-module", summary, probe, change, "loaded", "available", "blocked")


def _change_cgroup(facts: Facts, value: str) -> Facts:
    if value == "v2":
        return replace(facts, cgroup=value)
    return replace(facts, cgroup=value, delegated=(), slice_controllers=())


def _limiting(controllers: tuple[str, ...]) -> list[str]:
    return [name for name in controllers if name in LIMIT_CONTROLLERS]


def _with_limiting(controllers: tuple[str, ...], wanted: list[str]) -> tuple[str, ...]:
    return (*(name for name in controllers if name not in LIMIT_CONTROLLERS), *wanted)


def _change_delegated(facts: Facts, value: list[str]) -> Facts:
    """A manager has what its slice has, or less."""
    added = [name for name in value if name not in facts.slice_controllers]
    return replace(facts, delegated=_with_limiting(facts.delegated, value),
                   slice_controllers=(*facts.slice_controllers, *added))  # fmt: skip


def _change_slice(facts: Facts, value: list[str]) -> Facts:
    kept = [name for name in _limiting(facts.delegated) if name in value]
    return replace(facts, delegated=_with_limiting(facts.delegated, kept),
                   slice_controllers=_with_limiting(facts.slice_controllers, value))  # fmt: skip


def _security_module(facts: Facts) -> str:
    return next((name for name in SECURITY_MODULES if name in facts.lsms), "none")


def _change_security_module(facts: Facts, value: str) -> Facts:
    others = tuple(name for name in facts.lsms if name not in SECURITY_MODULES)
    return replace(facts, lsms=others if value == "none" else (*others, value))


add(
    "kernel",
    "the kernel's series",
    lambda f: ".".join(re.findall(r"\d+", f.kernel)[:2]),
    lambda f, v: replace(f, kernel=f"{v}.0"),
    "6.1",
    open=True,
)
add(
    "systemd",
    "systemd's major version",
    lambda f: str(f.systemd) if f.systemd else "none",
    lambda f, v: replace(f, systemd=0 if v == "none" else count("systemd", v)),
    "252",
    "none",
    open=True,
)
_sysctl("port-boundary", "net.ipv4.ip_unprivileged_port_start",
        "the lowest port a user may bind", "1024", "80", "0", "absent")
_sysctl("userns-clone", "kernel.unprivileged_userns_clone",
        "a distro's switch for user namespaces", "1", "0", "absent")
add("max-user-namespaces", "user.max_user_namespaces: how many each user may make",
    _max_user_namespaces, _change_max_user_namespaces, ">0", "0", "absent")
_sysctl("apparmor-userns", "kernel.apparmor_restrict_unprivileged_userns",
        "user namespaces need a profile that allows them", "absent", "0", "1")
_sysctl("ping-group-range", "net.ipv4.ping_group_range",
        "the groups that may send ICMP echo", "1 0", "0 2147483647", "absent")
add_flag("ipv6", "the loopback device has ::1", "ipv6")
add("cgroup", "the cgroup hierarchy", lambda f: f.cgroup, _change_cgroup, "v2", "v1", "hybrid")
add_words(
    "delegated-controllers",
    "the cgroup controllers that the user's manager was given",
    lambda f: _limiting(f.delegated),
    _change_delegated,
    "cpu memory pids",
    "memory pids",
)
add_words(
    "slice-controllers",
    "the cgroup controllers of the user's slice, where dockerd looks",
    lambda f: _limiting(f.slice_controllers),
    _change_slice,
    "cpu memory pids",
    "cpu",
)
for _name in MODULES:
    _module(_name)
TUN = TRAITS["tun-module"]
add(
    "tun",
    "tun, which the first daemon loads, is there or could be loaded; or modprobe would not load it",
    lambda f: "blocked" if TUN.probe(f) == "blocked" else "usable",
    lambda f, v: TUN.assume(f, "blocked" if v == "blocked" else "available"),
    "usable",
    "blocked",
)
add_flag("overlay-in-userns", "overlayfs mounts inside a user namespace", "overlay_in_userns")
add("mandatory-access", "the security module in charge", _security_module,
    _change_security_module, "apparmor", "selinux", "none")
