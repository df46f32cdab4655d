"""What the setup tool would say on a machine, in words that a scenario can compare.

``check``:    ``satisfied``, ``missing: NAME, NAME`` with the names of INSTRUCTIONS,
              ``refused: rootful Docker``, ``refused: XDG_RUNTIME_DIR``, ``silent failure``
              (exit 1 and nothing said) or ``smoke test fails``.  Where XDG_RUNTIME_DIR is
              unset, not just unusable, the tool trips over its own message: the shell says
              `XDG_RUNTIME_DIR: parameter not set` and exits 2 (measured with 20.10.24; bash as
              /bin/sh says `unbound variable` and exits 1).
``install``:  ``installed``, ``systemd not detected`` (exit 0), or ``failed: `` and what ``check``
              says, or a reason why the daemon does not start, or ``docker not beside the tool``.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from harness.guest.facts import Facts
from harness.rootless.expectations.start import namespace_failure, start_failure
from harness.rootless.expectations.versions import tool_at_least, tool_between

# Requirement → the text that announces it, in the order in which the tool looks.
INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "newuidmap": ("# Install newuidmap & newgidmap binaries", "newuidmap binary not found"),
    "iptables": ("# Install iptables", "iptables binary not found"),
    "ip_tables": ("modprobe ip_tables",),
    "nf_tables": ("modprobe nf_tables",),
    "userns_clone": ("/etc/sysctl.d/50-rootless.conf\nkernel.unprivileged_userns_clone = 1",),
    "max_user_namespaces": ("/etc/sysctl.d/51-rootless.conf\nuser.max_user_namespaces = 28633",),
    "subuid": (">> /etc/subuid",),  # which ids: D8.subuid_line
    "subgid": (">> /etc/subgid",),
}
INSTALLERS = ("apt-get", "dnf", "yum")  # those for which it has a command to print
NO_COMMAND = "no command"
SMOKE_TEST = ("25.0.4", "27.1.1")  # `check` too ran `rootlesskit true`
SILENT_IDS = ("28.0.0", "28.2")  # it ends where it looks for the line, before it says anything


def missing_in(output: str) -> tuple[str, ...]:
    """The requirements that the tool's output (both streams) names, in the order it does."""
    places = {
        name: min(output.find(text) for text in texts if text in output)
        for name, texts in INSTRUCTIONS.items()
        if any(text in output for text in texts)
    }
    return tuple(sorted(places, key=places.__getitem__))


def required_module(facts: Facts) -> str:
    """The kernel module that the tool wants to see loaded."""
    nft = tool_at_least(facts, "28.1") and facts.iptables != "legacy"
    return "nf_tables" if nft else "ip_tables"


def missing_requirements(facts: Facts) -> tuple[str, ...]:
    """What the tool misses, in its order.  It does not look at newgidmap, rootlesskit, the size
    of the id ranges, or slirp4netns."""
    module = required_module(facts)
    has_iptables = bool(facts.iptables or facts.binary("iptables"))
    if tool_between(facts, "28.1.0", "28.1.0"):
        has_iptables = not has_iptables  # this one alone asks for it where it is there
    wanted = {
        "newuidmap": facts.binary("newuidmap") is not None,
        "iptables": has_iptables,
        module: module in facts.modules,
        "userns_clone": facts.sysctls.get("kernel.unprivileged_userns_clone") in (None, "1"),
        "max_user_namespaces": facts.sysctls.get("user.max_user_namespaces") != "0",
        "subuid": bool(facts.subuid),
        "subgid": bool(facts.subgid),
    }
    return tuple(name for name, satisfied in wanted.items() if not satisfied)


def installer(facts: Facts) -> bool:
    """Whether the tool knows how to install what is missing.  Facts that were probed before
    this was looked at name no installer, not even as missing; those machines had one."""
    looked = [name for name in INSTALLERS if name in facts.binaries]
    return not looked or any(facts.binary(name) for name in looked)


def install_command(facts: Facts, name: str) -> str:
    """What brings the missing *name*, with the first of INSTALLERS that is there.

    The package of newuidmap is the machine's own where that is known: the tool knows no other
    name than uidmap and shadow-utils, and where it is wrong is at fault.
    """
    manager = next((one for one in INSTALLERS if facts.binary(one)), "")
    package = {"newuidmap": "uidmap" if manager == "apt-get" else "shadow-utils"}.get(name, name)
    binary = facts.binary(name)
    if name == "newuidmap" and binary and binary.package and not facts.twin:
        package = binary.package
    return f"{manager} install -y {package}" if manager else NO_COMMAND


def iptables_missing(facts: Facts) -> tuple[str, ...]:
    """What is missing of that which --skip-iptables lets pass."""
    wanted = ("iptables", required_module(facts))
    return tuple(name for name in missing_requirements(facts) if name in wanted)


def check(facts: Facts, *, force: bool = False, skip_iptables: bool = False) -> str:
    if facts.rootful_socket_writable and not force:
        return "refused: rootful Docker"
    if facts.user_session and not facts.xdg_runtime_dir:
        return "refused: XDG_RUNTIME_DIR"
    missing = missing_requirements(facts)
    if skip_iptables:
        missing = tuple(name for name in missing if name not in iptables_missing(facts))
    if missing[:1] in (("newuidmap",), ("iptables",)) and not installer(facts):
        missing = missing[:1]  # it stops at the first binary that it cannot say how to install
    if {"subuid", "subgid"} & set(missing) and tool_between(facts, *SILENT_IDS):
        return "silent failure"
    if missing:
        return f"missing: {', '.join(missing)}"
    if tool_between(facts, *SMOKE_TEST) and namespace_failure(facts):
        return "smoke test fails"
    return "satisfied"


def tool_directory(facts: Facts) -> PurePosixPath:
    """The tool's $BIN, from which it calls ``docker``: the directory of dockerd-rootless.sh."""
    script = facts.binary("dockerd-rootless.sh")
    return PurePosixPath(script.path if script else facts.setuptool).parent


def install(facts: Facts, *, force: bool = False, skip_iptables: bool = False) -> str:
    checked = check(facts, force=force, skip_iptables=skip_iptables)
    if checked != "satisfied":
        return f"failed: {checked}"
    ignored = force and tool_at_least(facts, "27.4")
    if tool_at_least(facts, "27.1.2") and namespace_failure(facts) and not ignored:
        return "failed: smoke test fails"
    if facts.user_session and (reason := start_failure(facts)):
        return f"failed: {reason}"
    if not facts.client_beside_script:
        return "failed: docker not beside the tool"
    return "installed" if facts.user_session else "systemd not detected"
