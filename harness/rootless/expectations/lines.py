"""The lines that the setup tool says while it installs and uninstalls, and their order (D13)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations.install import INSTALL as INSTALL_SOURCE
from harness.rootless.expectations.install import needs_unit
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.uninstalling import UNINSTALL as UNINSTALL_SOURCE
from harness.rootless.expectations.versions import tool_at_least

# What `install` says, by name.
INSTALL = {
    "exists": r"^\[WARNING\] File already exists, skipping: /\S+/systemd/user/docker\.service$",
    "created": r"^\[INFO\] Creating /\S+/\.config/systemd/user/docker\.service$",
    "started": r"^\[INFO\] starting systemd service docker\.service$",
    "installed": r"^\[INFO\] Installed docker\.service successfully\.$",
    "context made": r'^\[INFO\] Creating CLI context "rootless"$',
    "context exists": r'^\[INFO\] CLI context "rootless" already exists$',
    "context used": r'^\[INFO\] (Use|Using) CLI context "rootless"$',
    "variables": r"^\[INFO\] Make sure the following environment variable(s|\(s\)) are set "
                 r"\(or add them to ~/\.bashrc\):$",
    "another": r"^(\[INFO\] )?Some applications may require the following environment variable "
               r"too:$",
}
# What `uninstall` says.
UNINSTALL = {
    "uninstalled": r"^\[INFO\] Uninstalled docker\.service$",
    "context deleted": r'^\[INFO\] Deleted CLI context "rootless"$',
    "default": r'^\[INFO\] Configured CLI (to )?use the "default" context\.$',
    "unset": r"^\[INFO\] Make sure to unset or update the environment PATH, DOCKER_HOST, and "
             r"DOCKER_CONTEXT environment variables if you have added them to `~/\.bashrc`\.$",
    "kept": r"^\[INFO\] This uninstallation tool does NOT remove Docker binaries and data\.$",
    "how to": r"^\[INFO\] To remove data, run: `/\S+/rootlesskit rm -rf /\S+/share/docker`$",
}  # fmt: skip


def _said(facts: Facts, *unit: str, context: str) -> Prediction:
    because = f"setup tool of engine {facts.engine}"
    if tool_at_least(facts, "29"):
        return not_applicable(f"not known of the {because}")
    made = [context] if tool_at_least(facts, "20.10.6") else []
    since_19 = tool_at_least(facts, "20.10.19")
    used, another = (["context used"], ["another"]) if since_19 else ([], [])
    value = ", ".join([*unit, "installed", *made, *used, "variables", *another])
    return Prediction(value, because)


@rule("D13.said", source=INSTALL_SOURCE)
@needs_unit
def said(facts: Facts) -> Prediction:
    """Which of INSTALL `install` says on stdout, by name, in its order."""
    return _said(facts, "created", "started", context="context made")


@rule("D13.install_twice_said", source=INSTALL_SOURCE)
@needs_unit
def said_twice(facts: Facts) -> Prediction:
    """The same where it has been installed and the daemon runs, after those on stderr."""
    return _said(facts, "exists", context="context exists")


@rule("D13.uninstall_said", source=UNINSTALL_SOURCE)
@needs_unit
def uninstall_said(facts: Facts) -> Prediction:
    """Which of UNINSTALL `uninstall` says on stdout, by name, in its order."""
    deleted = ["context deleted"] if tool_at_least(facts, "20.10.6") else []
    default = ["default", "unset"] if tool_at_least(facts, "20.10.19") else []
    value = ", ".join(["uninstalled", *deleted, *default, "kept", "how to"])
    return Prediction(value, f"setup tool of engine {facts.engine}")
