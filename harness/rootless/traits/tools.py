"""Traits of the binaries that rootless Docker is made of, and of their privileges."""

from __future__ import annotations

import re
import stat
from dataclasses import replace

from harness.guest.facts import Facts, version_tuple
from harness.rootless.traits.model import add, add_flag, add_words, with_binary, without_binary

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
SCRIPTS = ("dockerd-rootless.sh", TOOL)
# Tools are told apart by their content: a distro may ship another version's.  These are those of
# Debian's docker.io.
KNOWN_TOOLS = {
    "9b188943d48f2478a8d5e6649ecabf6ebb1094d3a7d3ed09e2de4ee85f491a6c": "20.10.5",
    "2c0860d55f05149006ba60ac9dd41f94e45f13465c4445f5027830a5cfdebd40": "20.10.24",
    "66609532b1da7b37f89e7fb60b129b33b7ec10b1822bc670957e0a4b386613e2": "26.1.5",
    "0172d6f5c301b764a41bc37453d7bfd29c7681c02d3ece9ab109e7d04b52acc2": "28.5.2",
}
EXCESS = "more than it needs"  # of privilege
WRITABLE = stat.S_IWGRP | stat.S_IWOTH
# The one capability that each helper needs, where it is not set-user-id.
HELPERS = {"newuidmap": "cap_setuid", "newgidmap": "cap_setgid"}


def helper_power(owner: int, mode: int, capabilities: str, needed: str) -> str:
    """How a helper that needs one capability gets it, of its file's mode and capabilities."""
    held = set(re.findall(r"cap_[a-z_]+", capabilities))
    setuid = owner == 0 and bool(mode & stat.S_ISUID)
    if needed not in held and not setuid:
        return "powerless"
    if mode & (stat.S_ISGID | WRITABLE) or held - (set() if setuid else {needed}):
        return EXCESS
    return "setuid root" if setuid else "file capabilities"


def _map_helper(name: str, capability: str) -> None:
    def probe(facts: Facts) -> str:
        binary = facts.binary(name)
        if binary is None:
            return "missing"
        return helper_power(binary.owner, binary.mode, binary.capabilities, capability)

    def change(facts: Facts, value: str) -> Facts:
        if value == "missing":
            return without_binary(facts, name)
        mode = 0o4755 if value in ("setuid root", EXCESS) else 0o755
        held = {"file capabilities": f"{capability}=ep", EXCESS: "cap_sys_admin=ep"}
        return with_binary(facts, name, owner=0, mode=mode, capabilities=held.get(value, ""))

    values = ("setuid root", "file capabilities", EXCESS, "powerless", "missing")
    add(name, f"how {name} may write id maps", probe, change, *values)


def _helpers_package(facts: Facts) -> str:
    found = [facts.binary(name) for name in HELPERS]
    return "/".join(dict.fromkeys(b.package or "none" for b in found if b)) or "none"


def _change_helpers_package(facts: Facts, value: str) -> Facts:
    for name in HELPERS:
        if facts.binary(name):
            facts = with_binary(facts, name, package="" if value == "none" else value)
    if value == "none":
        return facts
    return replace(facts, packages={value: "of unknown version", **facts.packages})


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


def _writable(facts: Facts) -> list[str]:
    found = {name: facts.binary(name) for name in (*ENGINE_BINARIES, *SCRIPTS)}
    return [
        name for name, binary in found.items()
        if binary and (binary.owner != 0 or binary.mode & WRITABLE)
    ]  # fmt: skip


def _change_writable(facts: Facts, value: list[str]) -> Facts:
    for name in (*ENGINE_BINARIES, *SCRIPTS):
        binary = facts.binary(name)
        if binary is not None or name in value:
            mode = (binary.mode if binary else 0o755) & ~WRITABLE
            facts = with_binary(
                facts, name, owner=0, mode=mode | (WRITABLE if name in value else 0)
            )
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


def _tool_version(facts: Facts) -> str:
    """Of a tool that is not known, or was changed, nothing else is supposed than that it came with
    the engine."""
    return _digits(KNOWN_TOOLS.get(facts.setuptool_sha256, facts.engine))


def _change_tool_version(facts: Facts, value: str) -> Facts:
    digests = {version: digest for digest, version in KNOWN_TOOLS.items()}
    return replace(facts, setuptool_sha256=digests.get(value, ""))


add("engine", "dockerd's version", lambda f: _digits(f.engine), _change_engine,
    "20.10.24", "none", open=True)
add("setup-tool", f"whether a login finds {TOOL}", _setup_tool, _change_setup_tool,
    "on PATH", "off PATH", "missing")
add_flag("docker-client", "docker beside dockerd-rootless.sh, where the setup tool calls it",
         "client_beside_script", "present", "missing")  # fmt: skip
add("setup-tool-version", f"the engine's version that {TOOL} is of", _tool_version,
    _change_tool_version, *KNOWN_TOOLS.values(), open=True)
for _helper, _capability in HELPERS.items():
    _map_helper(_helper, _capability)
add("helpers-package", f"the package that {' and '.join(HELPERS)} are of", _helpers_package,
    _change_helpers_package, "uidmap", "none", open=True)
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
add_words("writable-binaries", "programs of the engine that not only root may change",
          _writable, _change_writable, "dockerd")
add("slirp4netns", "the user-mode network stack; old is before 0.4.0", _slirp4netns,
    _change_slirp4netns, "present", "old", "missing")
_presence("rootlessctl", "the tool that asks rootlesskit")
_presence("fuse-overlayfs", "the fallback storage driver's binary")
add("iptables", "which iptables answers", lambda f: f.iptables or "none", _change_iptables,
    "nft", "legacy", "none")
