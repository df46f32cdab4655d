"""dockerd-rootless-setuptool.sh: what it says where something is missing, and otherwise."""

from __future__ import annotations

import re

import pytest

from harness.guest.guest import Guest
from harness.guest.session import Session
from harness.rootless import engine, installing, setuptool
from harness.rootless.attempt import words_of_check
from harness.rootless.expectations import requirements, usage
from harness.rootless.renamed import pattern
from harness.rootless.setuptool import ToolResult
from harness.session.decide import Decider

pytestmark = [pytest.mark.setuptool, pytest.mark.state("prepared")]

# What a daemon that was switched off left in the tables holds the module, and so do modules.
UNLOAD = """
PATH=$PATH:/usr/sbin:/sbin
for table in filter nat; do
    for tool in iptables ip6tables; do
        $tool -t $table -F && $tool -t $table -X
    done
done > /dev/null 2>&1
remove() {
    [ -d "/sys/module/$1" ] || return 0
    for holder in $(ls "/sys/module/$1/holders"); do remove "$holder" || return; done
    modprobe -r "$1"
}
remove "$1"
"""
# What `install` would make: files at home, and a daemon.
MADE = 'ls -lAR "$HOME" | grep -v ^total; pgrep -l -u "$(id -u)" -x "$1"'
DAEMON = pattern("dockerd", "rootlesskit")


def tool(guest: Guest, *arguments: str, session: Session | None = None) -> ToolResult:
    """The setup tool by its path, so that it is found whatever the login's PATH."""
    return setuptool.run(session or guest.user, *arguments, path=guest.facts.setuptool)


def refused_install(guest: Guest, decide: Decider, key: str) -> ToolResult:
    """Run `install` where it is expected to stop early, and decide *key* by what it says, and by
    whether it has made a unit nevertheless."""
    result = tool(guest, "install")
    unit = guest.user.sh('ls "$HOME/.config/systemd/user/docker.service"', check=False)
    left = ", a unit left" if result.exit_status and unit.ok else ""
    decide(key, f"{installing.outcome(guest, result)}{left}",
           f"{result.transcript}\n{unit.transcript}")  # fmt: skip
    return result


@pytest.mark.claims("P8", "P8.commands", "P8.text", "P8.as_root", "P12", "P12.exit", "P12.leaves",
                    "D8.unknown_command", "D8.unknown_command_said", "D8.no_command",
                    "D8.no_command_said", "D8.as_root", "D8.install_as_root",
                    "D8.streams")  # fmt: skip
def test_words(guest: Guest, decide: Decider) -> None:
    """The tool explains itself to everybody, checks for users only, and knows its commands."""
    helped = tool(guest, "--help")
    decide("P8", helped.exit_status, helped.transcript)
    commands = re.findall(r"^  ([a-z]+) {2,}\S", helped.stdout, re.MULTILINE)
    decide("P8.commands", " ".join(commands), helped.transcript)
    decide("P8.text", usage.said(helped.stdout), helped.transcript)
    helped = tool(guest, "--help", session=guest.root)
    told = f"exit {helped.exit_status}, {usage.said(helped.stdout)}"
    decide("P8.as_root", told, helped.transcript)

    before = guest.user.sh(MADE, DAEMON, check=False)
    checked = tool(guest, "check")
    after = guest.user.sh(MADE, DAEMON, check=False)
    made = [line for line in after.stdout.splitlines() if line not in before.stdout.splitlines()]
    decide("P12.leaves", "; ".join(made) or "nothing", f"{checked.transcript}\n{after.transcript}")
    lines = checked.stdout.splitlines()
    said = words_of_check(checked)
    if said == "satisfied" and lines != [setuptool.SATISFIED]:
        said = f"satisfied, among: {lines}"
    decide("P12", said, checked.transcript)
    decide("P12.exit", checked.exit_status, checked.transcript)

    unknown = tool(guest, "checks")
    decide("D8.unknown_command", unknown.exit_status, unknown.transcript)
    decide("D8.unknown_command_said", installing.error_of(unknown), unknown.transcript)
    bare = tool(guest)
    decide("D8.no_command", bare.exit_status, bare.transcript)
    decide("D8.no_command_said", installing.error_of(bare), bare.transcript)
    root = tool(guest, "check", session=guest.root)
    decide("D8.as_root", installing.refusal_of(root), root.transcript)
    root = tool(guest, "install", session=guest.root)
    unit = guest.root.sh('ls "$HOME/.config/systemd/user/docker.service"', check=False)
    left = "a unit" if unit.ok else "no unit"
    decide("D8.install_as_root", f"{installing.refusal_of(root)}, {left}",
           f"{root.transcript}\n{unit.transcript}")  # fmt: skip
    told_apart = setuptool.streams(checked, unknown, bare, root)
    decide("D8.streams", told_apart, f"{unknown.transcript}\n{bare.transcript}")


@pytest.mark.claims("D8.newuidmap", "D8.newuidmap_command", "D8.uninstall_blocked", "P9",
                    "D8.iptables", "D8.iptables_command", "D8.iptables_way_out",
                    "P12.missing_rootlesskit", "D8.not_on_path")  # fmt: skip
def test_missing_programs(guest: Guest, decide: Decider) -> None:
    """For each missing program that the tool looks for it prints what root has to run."""
    installing.hide(guest.root, "newuidmap")
    refused = refused_install(guest, decide, "D8.newuidmap")
    command = installing.command_for(refused, "newuidmap")
    decide("D8.newuidmap_command", command, refused.transcript)
    uninstall = tool(guest, "uninstall")
    decide("D8.uninstall_blocked", words_of_check(uninstall), uninstall.transcript)
    # Something is missing now, so the bare command has something to list.
    bare = tool(guest)
    lists = requirements.missing_in(bare.stdout + bare.stderr) or bare.instructions
    told = "lists missing requirements" if lists else installing.error_of(bare)
    decide("P9", told, bare.transcript)
    installing.show(guest.root, "newuidmap")

    installing.hide(guest.root, "iptables")
    refused = refused_install(guest, decide, "D8.iptables")
    command = installing.command_for(refused, "iptables")
    decide("D8.iptables_command", command, refused.transcript)
    named = "--skip-iptables" in refused.stdout + refused.stderr
    decide("D8.iptables_way_out", "named" if named else "not named", refused.transcript)
    installing.show(guest.root, "iptables")

    installing.hide(guest.root, "rootlesskit")
    checked = tool(guest, "check")
    decide("P12.missing_rootlesskit", words_of_check(checked), checked.transcript)
    installing.show(guest.root, "rootlesskit")

    installing.hide(guest.root, "dockerd-rootless.sh")
    checked = tool(guest, "check")
    decide("D8.not_on_path", installing.refusal_of(checked), checked.transcript)


@pytest.mark.claims("D8.subuid", "D8.subgid", "D8.subuid_command", "D8.subgid_command", "P10",
                    "P10.subgid")  # fmt: skip
def test_missing_ids(guest: Guest, decide: Decider) -> None:
    """Without subordinate ids the tool prints the lines to append, which only root may append."""
    # First, as the files have their modes from the distro.
    for key, path in (("P10", "/etc/subuid"), ("P10.subgid", "/etc/subgid")):
        added = guest.user.sh('echo "$USER:200000:65536" >> "$1"', path, check=False)
        denied = "permission denied" if "ermission denied" in added.stderr else "failed"
        decide(key, "appended" if added.ok else denied, added)

    for key, path in (("D8.subuid", "/etc/subuid"), ("D8.subgid", "/etc/subgid")):
        lines = guest.root.read(path)
        guest.root.run("sed", "-i", f"/^{guest.access.user}:/d", path)
        refused = refused_install(guest, decide, key)
        decide(f"{key}_command", installing.id_command(refused, path), refused.transcript)
        guest.root.write(path, lines)


@pytest.mark.claims("D8.userns_clone", "D8.max_user_namespaces", "D8.module")
def test_kernel(guest: Guest, decide: Decider) -> None:
    """For each switch of the kernel that is off the tool prints how to turn it on."""
    for key, name in (
        ("D8.userns_clone", "kernel.unprivileged_userns_clone"),
        ("D8.max_user_namespaces", "user.max_user_namespaces"),
    ):
        before = guest.facts.sysctls.get(name)
        if before is None:
            decide.not_applicable(key, f"the kernel has no {name}")
            continue
        guest.root.run("sysctl", "-q", "-w", f"{name}=0")
        refused_install(guest, decide, key)
        guest.root.run("sysctl", "-q", "-w", f"{name}={before}")

    module = requirements.required_module(guest.facts)
    builtin = guest.root.sh(
        'grep -q "/$1.ko" "/lib/modules/$(uname -r)/modules.builtin"', module, check=False
    )
    if builtin.ok:
        decide.not_applicable("D8.module", f"{module} is built into the kernel")
        return
    unloaded = guest.root.sh(UNLOAD, module, check=False)
    if not unloaded.ok:
        why = f"{module} cannot be taken out of the kernel: {unloaded.stderr.strip()}"
        decide.not_applicable("D8.module", why)
        return
    checked = tool(guest, "check")
    decide("D8.module", words_of_check(checked), checked.transcript)


@pytest.mark.claims("D8.no_runtime_directory", "D8.newgidmap")
def test_unforeseen(guest: Guest, decide: Decider) -> None:
    """Without a runtime directory the tool gives up; that newgidmap is missing the daemon tells."""
    if guest.facts.user_session:
        decide("D8.no_runtime_directory", *without_runtime_directory(guest))
    else:
        decide.not_applicable("D8.no_runtime_directory", "no systemd user session")

    installing.hide(guest.root, "newgidmap")
    result = tool(guest, "install")
    evidence = f"{result.transcript}\n{engine.daemon_log(guest, 30)}"
    decide("D8.newgidmap", installing.outcome(guest, result), evidence)


def without_runtime_directory(guest: Guest) -> tuple[str, str]:
    """What `install` comes to in a session that has no XDG_RUNTIME_DIR, and what it said."""
    environment = installing.without_runtime_directory(guest)
    result = setuptool.plain(
        guest.user.run(*environment, guest.facts.setuptool, "install", check=False)
    )
    return installing.outcome(guest, result), result.transcript


@pytest.mark.claims("D8.range_size")
def test_small_range(guest: Guest, decide: Decider) -> None:
    """A range of ids that is too small is not noticed by the tool."""
    for path in ("/etc/subuid", "/etc/subgid"):
        guest.root.write(path, f"{guest.access.user}:100000:1000\n")
    result = engine.install(guest)
    decide("D8.range_size", installing.outcome(guest, result), result.transcript)
