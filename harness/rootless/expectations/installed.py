"""What is in force where the rootless daemon is installed: its unit's settings, the
client's context, a login's variables (D13)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.guest.facts import Facts
from harness.rootless.expectations import requirements
from harness.rootless.expectations.install import (
    INSTALL,
    docker_host,
    needs_install,
    needs_unit,
)
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.promise import promise
from harness.rootless.expectations.start import needs_daemon
from harness.rootless.expectations.versions import tool_at_least

# What the tool writes into the unit, by systemd's names, but for what has a rule of its own.
UNIT_SETTINGS = {
    "Delegate": "yes",
    "DropInPaths": "",
    "ExecReload": "/bin/kill -s HUP $MAINPID",
    "KillMode": "mixed",
    "LimitCORE": "infinity",
    "LimitNOFILE": "infinity",
    "LimitNPROC": "infinity",
    "NotifyAccess": "none",
    "Restart": "always",
    "RestartUSec": "2s",
    "StandardError": "inherit",
    "StandardOutput": "journal",
    "StartLimitBurst": "3",
    "StartLimitIntervalUSec": "1min",
    "TasksMax": "infinity",
    "TimeoutStartUSec": "infinity",
    "TimeoutStopUSec": "infinity",
    "Type": "simple",
}
# The names of the lines that the tool writes, and the variable of the one.
UNIT_LINES = (
    "Delegate Description Documentation Environment=PATH ExecReload ExecStart KillMode LimitCORE "
    "LimitNOFILE LimitNPROC Restart RestartSec StartLimitBurst StartLimitInterval TasksMax "
    "TimeoutSec Type WantedBy"
)
# What a user calls by these names, or the unit does.
PROGRAMS = ("docker", "dockerd-rootless.sh", "dockerd-rootless-setuptool.sh", "rootlesskit")
HEEDED = ("DOCKER", "XDG_RUNTIME_DIR")  # how the names of variables begin


@rule("D13.unit_settings", source="dockerd-rootless-setuptool.sh")
@needs_unit
def unit_settings(facts: Facts) -> Prediction:
    """What `systemctl --user show` has of UNIT_SETTINGS, in the alphabet's order: as every tool
    from 20.10.4 on writes it (KillMode since then; who notifies systemd, and what of, since 23)."""
    because = f"setup tool of engine {facts.engine}"
    if not tool_at_least(facts, "20.10.4"):
        return not_applicable(f"not known of the {because}")
    since_23 = {"NotifyAccess": "all", "Type": "notify"} if tool_at_least(facts, "23") else {}
    return Prediction(settings({**UNIT_SETTINGS, **since_23}), because)


@rule("D13.unit_lines", source="dockerd-rootless-setuptool.sh")
@needs_unit
def unit_lines(facts: Facts) -> Prediction:
    """The names of the lines of the unit's file, in the alphabet's order, and which variables
    Environment= sets: UNIT_LINES (NotifyAccess since 23, Requires since 27.1)."""
    because = f"setup tool of engine {facts.engine}"
    if not tool_at_least(facts, "20.10.4"):
        return not_applicable(f"not known of the {because}")
    since = {"NotifyAccess": "23", "Requires": "27.1.0"}
    added = [name for name, version in since.items() if tool_at_least(facts, version)]
    return Prediction(" ".join(sorted([*UNIT_LINES.split(), *added])), because)


def lines(unit: str) -> str:
    """The names of the lines of a *unit*'s text, as the rule writes them."""
    found = re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE)
    names = [name for name, _ in found if name != "Environment"]
    set_there = [word for name, value in found if name == "Environment"
                 for word in re.findall(r"(?:^|\s)[\"']?(\w+)=", value)]  # fmt: skip
    return " ".join(sorted([*names, *(f"Environment={name}" for name in set_there)]))


@rule("D13.unit_path", source="dockerd-rootless-setuptool.sh")
@needs_unit
def unit_path(facts: Facts) -> Prediction:
    """Where the unit has programs looked for; ``$PATH`` stands for that of the user's session."""
    directory = requirements.tool_directory(facts)
    value = f"{directory}:/sbin:/usr/sbin:$PATH"
    return Prediction(value, f"dockerd-rootless.sh is in {directory}")


def path_in(unit: str, session: str) -> str:
    """PATH in a *unit*'s text, as the rule writes it; *session* is PATH of the user's session."""
    found = re.search(r"^Environment=PATH=(.*)$", unit, re.MULTILINE)
    value = found[1] if found else "none"
    return value.removesuffix(session) + "$PATH" if value.endswith(session) else value


@rule("D13.unit_command", source="dockerd-rootless-setuptool.sh")
@needs_unit
def unit_command(facts: Facts) -> Prediction:
    """What the unit starts: the script beside the tool, with no argument."""
    script = str(requirements.tool_directory(facts) / "dockerd-rootless.sh")
    return Prediction(script, f"a login finds it in {script.rpartition('/')[0]}")


def command(shown: str) -> str:
    """The command line in *shown*, the ExecStart or the like of `systemctl show`."""
    found = re.search(r"argv\[\]=(.*?) ;", shown)
    return found[1].strip() if found else "none"


def settings(shown: Mapping[str, str]) -> str:
    """Those of UNIT_SETTINGS that are *shown*, as the rule writes them."""
    return " ".join(f"{name}={shown[name]}" for name in sorted(UNIT_SETTINGS) if name in shown)


@rule("D13.context_host", source=INSTALL)
@needs_install
def context_host(facts: Facts) -> Prediction:
    """Where the CLI context ``rootless`` leads: to the user's own daemon."""
    if not tool_at_least(facts, "20.10.6"):
        return not_applicable(f"the setup tool of engine {facts.engine} makes no context")
    return docker_host(facts)


@rule("D13.login", source=INSTALL)
def login(facts: Facts) -> Prediction:
    """Which variables that the client, the daemon or its script heeds (HEEDED) a login shell has
    otherwise than the session that it starts in: ``none``."""
    return Prediction("none", "no document but `install` has one set, and that for ~/.bashrc")


promise("D13.flags", "none", "What the command line of the user's dockerd has behind the program's "
        "name: settings are for daemon.json.", source="dockerd-rootless-setuptool.sh",
        guard=needs_daemon)


@rule("D13.login_programs", source=INSTALL)
def login_programs(facts: Facts) -> Prediction:
    """Which of PROGRAMS a login shell runs otherwise than the session that it starts in, as
    another file, an alias or a function: ``none``."""
    return Prediction("none", "`install` asks for a PATH that begins with the tool's directory")
