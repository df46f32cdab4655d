"""How the setup tool explains itself (P8)."""

from __future__ import annotations

import re
from itertools import zip_longest

from harness.guest.facts import Facts
from harness.rootless.expectations.model import Prediction, rule
from harness.rootless.expectations.promise import promise
from harness.rootless.expectations.sources import PHOTON
from harness.rootless.expectations.start import needs_tool
from harness.rootless.expectations.versions import tool_at_least

TOOL = f"{PHOTON}, 'Usage'"

# What every version has said since 20.10; the list of commands is a rule of its own.
USAGE = (
    "Usage: TOOL [OPTIONS] COMMAND",
    "A setup tool for Rootless Docker (dockerd-rootless.sh).",
    "Documentation: https://docs.docker.com/go/rootless/",
    "Options:",
    "-f, --force Ignore rootful Docker (/var/run/docker.sock)",
    "--skip-iptables Ignore missing iptables",
    "Commands:",
    "check Check prerequisites",
    "install Install systemd unit (if systemd is available) and show how to manage the service",
    "uninstall Uninstall systemd unit",
)
NSENTER = "nsenter Enter into RootlessKit namespaces (mostly for debugging)"  # where it is there
OLD_PAGE = "/engine/security/rootless/"  # as 20.10.5 names the page


def said(printed: str) -> str:
    """``as documented``, or the first line that differs and what USAGE has in its place."""
    lines = [" ".join(line.split()) for line in printed.splitlines() if line.strip()]
    lines = [re.sub(r"^Usage: \S+", "Usage: TOOL", line).replace(OLD_PAGE, "/go/rootless/")
             for line in lines]  # fmt: skip
    wanted = list(USAGE)
    if any(line.startswith("nsenter ") for line in lines):
        wanted.insert(-2, NSENTER)
    for line, text in zip_longest(lines, wanted, fillvalue="nothing"):
        if line != text:
            return f"{line}, for: {text}"
    return "as documented"


promise("P8", 0, "The exit status of `--help`.", source=TOOL, guard=needs_tool)
promise("P8.text", "as documented",
        "What `--help` prints: this, or the first line that is not that of USAGE.",
        source=TOOL, guard=needs_tool)
promise("P8.as_root", "exit 0, as documented",
        "`--help` as root: its exit status, and P8.text.", source=TOOL, guard=needs_tool)


@rule("P8.commands", source=TOOL)
@needs_tool
def commands(facts: Facts) -> Prediction:
    """The commands that `--help` lists, in its order."""
    nsenter = tool_at_least(facts, "25")
    names = "check nsenter install uninstall" if nsenter else "check install uninstall"
    return Prediction(names, f"setup tool of engine {facts.engine}")
