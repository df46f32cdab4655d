"""Traits of the binaries that rootless Docker is made of, and of their privileges."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.guest.facts import Facts, version_tuple
from harness.rootless.traits.model import add, add_words, with_binary, without_binary

ENGINE_BINARIES = (
    "containerd",
    "containerd-shim-runc-v2",
    "docker",
    "dockerd",
    "fuse-overlayfs",
    "rootlessctl",
    "rootlesskit",
    "rootlesskit-docker-proxy",
    "runc",
    "slirp4netns",
)
TOOL = "dockerd-rootless-setuptool.sh"
EXCESS = "more than it needs"  # of privilege
# The one capability that each helper needs, where it is not set-user-id.
HELPERS = {"newuidmap": "cap_setuid", "newgidmap": "cap_setgid"}


def helper_power(setuid: bool, capabilities: str, needed: str) -> str:
    """How a helper that needs one capability gets it, of its file's bit and capabilities."""
    held = set(re.findall(r"cap_[a-z_]+", capabilities))
    if needed not in held and not setuid:
        return "powerless"
    if held - (set() if setuid else {needed}):
        return EXCESS
    return "setuid root" if setuid else "file capabilities"


def _map_helper(name: str, capability: str) -> None:
    def probe(facts: Facts) -> str:
        binary = facts.binary(name)
        if binary is None:
            return "missing"
        return helper_power(binary.setuid_root, binary.capabilities, capability)

    def change(facts: Facts, value: str) -> Facts:
        if value == "missing":
            return without_binary(facts, name)
        mode = 0o4755 if value in ("setuid root", EXCESS) else 0o755
        held = {"file capabilities": f"{capability}=ep", EXCESS: "cap_sys_admin=ep"}
        return with_binary(facts, name, owner=0, mode=mode, capabilities=held.get(value, ""))

    values = ("setuid root", "file capabilities", EXCESS, "powerless", "missing")
    add(name, f"how {name} may write id maps", probe, change, *values)


def _privileged(facts: Facts) -> list[str]:
    found = []
    for name in ENGINE_BINARIES:
        binary = facts.binary(name)
        if binary and (binary.setuid_root or (binary.capabilities and name != "rootlesskit")):
            found.append(name)
    return found


def _change_privileged(facts: Facts, value: list[str]) -> Facts:
    for name in ENGINE_BINARIES:
        binary = facts.binary(name)
        if name in value:
            facts = with_binary(facts, name, owner=0, mode=0o4755)
        elif binary is not None:
            keep = binary.capabilities if name == "rootlesskit" else ""
            facts = with_binary(facts, name, mode=binary.mode & ~0o6000, capabilities=keep)
    return facts


def _kit_capabilities(facts: Facts) -> list[str]:
    binary = facts.binary("rootlesskit")
    return re.findall(r"cap_[a-z_]+", binary.capabilities) if binary else []


def _change_kit_capabilities(facts: Facts, value: list[str]) -> Facts:
    text = ",".join(value)
    return with_binary(facts, "rootlesskit", capabilities=f"{text}=ep" if text else "")


def _presence(name: str, summary: str) -> None:
    add(
        name,
        summary,
        lambda f: "present" if f.binary(name) else "missing",
        lambda f, v: with_binary(f, name) if v == "present" else without_binary(f, name),
        "present",
        "missing",
    )


def _slirp4netns(facts: Facts) -> str:
    if facts.binary("slirp4netns") is None:
        return "missing"
    return "present" if facts.slirp4netns_netns_type else "old"


def _change_slirp4netns(facts: Facts, value: str) -> Facts:
    if value == "missing":
        facts = replace(facts, slirp4netns="", slirp4netns_netns_type=False)
        return without_binary(facts, "slirp4netns")
    return replace(with_binary(facts, "slirp4netns"), slirp4netns_netns_type=value == "present")


def _change_iptables(facts: Facts, value: str) -> Facts:
    if value == "none":
        return replace(without_binary(facts, "iptables"), iptables="")
    return replace(with_binary(facts, "iptables"), iptables=value)


def _change_engine(facts: Facts, value: str) -> Facts:
    if value == "none":
        return replace(without_binary(facts, "dockerd"), engine="")
    return replace(with_binary(facts, "dockerd"), engine=value)


def _digits(version: str) -> str:
    return ".".join(str(number) for number in version_tuple(version)) or "none"


def _setup_tool(facts: Facts) -> str:
    if not facts.setuptool:
        return "missing"
    return "on PATH" if facts.setuptool_on_path else "off PATH"


def _change_setup_tool(facts: Facts, value: str) -> Facts:
    path = {"on PATH": f"/usr/bin/{TOOL}", "off PATH": f"/usr/share/docker.io/contrib/{TOOL}"}
    return replace(facts, setuptool=path.get(value, ""), setuptool_on_path=value == "on PATH")


add("engine", "dockerd's version", lambda f: _digits(f.engine), _change_engine,
    "20.10.24", "none", open=True)
add("setup-tool", f"whether a login finds {TOOL}", _setup_tool, _change_setup_tool,
    "on PATH", "off PATH", "missing")
for _helper, _capability in HELPERS.items():
    _map_helper(_helper, _capability)
_presence("rootlesskit", "the tool that makes the namespaces")
add(
    "rootlesskit-version",
    "rootlesskit's version",
    lambda f: _digits(f.rootlesskit),
    lambda f, v: replace(f, rootlesskit="" if v == "none" else v),
    "1.1.0",
    "none",
    open=True,
)
add_words("rootlesskit-capabilities", "file capabilities of rootlesskit", _kit_capabilities,
          _change_kit_capabilities, "cap_net_bind_service")
add_words("privileged-binaries", "engine binaries that gain privilege, which none should",
          _privileged, _change_privileged, "dockerd", "rootlesskit runc")
add("slirp4netns", "the user-mode network stack; old is before 0.4.0", _slirp4netns,
    _change_slirp4netns, "present", "old", "missing")
_presence("fuse-overlayfs", "the fallback storage driver's binary")
add("iptables", "which iptables answers", lambda f: f.iptables or "none", _change_iptables,
    "nft", "legacy", "none")
