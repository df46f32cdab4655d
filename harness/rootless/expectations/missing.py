"""What the setup tool says where two prerequisites are missing, or iptables may be (D8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

from harness.guest.facts import Facts
from harness.rootless.expectations import requirements
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.promise import promise
from harness.rootless.expectations.sources import MANUAL
from harness.rootless.expectations.start import needs_tool
from harness.rootless.expectations.versions import tool_at_least
from harness.rootless.traits import assume, trait

INSTALL = f"{MANUAL}, 'Install'"
NONE, FLAG = "no flag", "--iptables=false"
# Short name → the trait and the value with which the tool misses it.  "module" is the one that
# the tool asks for.
PREREQUISITES: Mapping[str, tuple[str, str]] = {
    "newuidmap": ("newuidmap", "missing"),
    "iptables": ("iptables", "none"),
    "module": ("", "available"),
    "userns_clone": ("userns-clone", "0"),
    "max_user_namespaces": ("max-user-namespaces", "0"),
    "subuid": ("subordinate-uids", "none"),
    "subgid": ("subordinate-gids", "none"),
}
# What ends the tool before it looks at the machine, by name, and how it says so.
GRAVEST = {
    "uname": "Rootless Docker cannot be installed on Darwin",
    "root": "Refusing to install rootless Docker as the root user",
    "dockerd-rootless.sh": "dockerd-rootless.sh needs to be present under $PATH",
    "HOME": "HOME needs to be set",
}
CONTAINERD = "refused: containerd-rootless"  # its state in the runtime directory; since 29.4
KNOBS = ("userns_clone", "max_user_namespaces")
PAIRS = tuple(combinations(PREREQUISITES, 2))


def lack(facts: Facts, name: str) -> tuple[str, str]:
    """The trait, and the value of it with which a machine is without the prerequisite."""
    about, value = PREREQUISITES[name]
    return about or f"{requirements.required_module(facts)}-module", value


def without(facts: Facts, *names: str) -> Facts:
    """The machine with these prerequisites missing."""
    return assume(facts, dict(lack(facts, name) for name in names))


def _pair(first: str, second: str) -> None:
    def predict(facts: Facts) -> Prediction:
        for name in (first, second):
            if name in KNOBS and trait(PREREQUISITES[name][0]).probe(facts) == "absent":
                return not_applicable(f"{name}: the kernel has no such switch")
        changed = without(facts, first, second)
        return Prediction(requirements.check(changed),
                          f"{first} and {second} missing (setup tool of engine {facts.engine})")

    predict.__doc__ = (
        f"`check` with {first} and {second} missing, in the words of requirements.py: one answer "
        "names both, in the tool's own order."
    )
    rule(f"D8.{first}+{second}", source=INSTALL)(needs_tool(predict))


for _first, _second in PAIRS:
    _pair(_first, _second)

promise("D8.streams", "apart",
        "Whether errors and warnings are on stderr alone, and information, the block of commands "
        "and what to export on stdout alone: ``apart``, or the first line that is not.",
        source=INSTALL, guard=needs_tool)


@rule("D8.order", source=INSTALL)
@needs_tool
def order(facts: Facts) -> Prediction:
    """What `check` says at first, and after the cure of each thing that it names: without
    newuidmap, HOME, XDG_RUNTIME_DIR and dockerd-rootless.sh, beside a rootful socket that can be
    written and the state of containerd-rootless.sh, as root, and with a `uname` that says Darwin.
    In the words of GRAVEST and of requirements.py, and CONTAINERD."""
    rootful = assume(facts, {"newuidmap": "missing", "rootful-socket": "writable"})
    cured = assume(rootful, {"rootful-socket": "not writable"})
    away = assume(cured, {"runtime-directory": "unset"})
    said = [requirements.check(one) for one in (rootful, away)]
    if facts.xdg_runtime_dir and tool_at_least(facts, "29.4"):
        said.append(CONTAINERD)
    said.append(requirements.check(cured))
    because = (f"user session {'yes' if facts.user_session else 'no'}, "
               f"setup tool of engine {facts.engine}")  # fmt: skip
    return Prediction("; ".join([*GRAVEST, *dict.fromkeys(said)]), because)


def _skipping(facts: Facts, *names: str) -> Facts:
    """The machine without what --skip-iptables skips, and a daemon told to do without."""
    settings = {**facts.daemon_json, "iptables": False}
    return replace(without(facts, *names), daemon_json=settings)


@rule("D8.skip_iptables", source=INSTALL)
@needs_tool
def skip(facts: Facts) -> Prediction:
    """`install --skip-iptables` without iptables, in the words of requirements.py."""
    changed = _skipping(facts, "iptables")
    return Prediction(requirements.install(changed, skip_iptables=True),
                      f"iptables missing, --skip-iptables (setup tool of engine {facts.engine})")


@rule("D8.skip_iptables_flag", source=INSTALL)
@needs_tool
def skip_flag(facts: Facts) -> Prediction:
    """What the unit made by `install --skip-iptables` without iptables hands to the daemon:
    ``--iptables=false`` or ``no flag``."""
    if not facts.user_session:
        return not_applicable("no systemd user session: no unit is made")
    return Prediction(FLAG, "iptables missing, --skip-iptables")


@rule("D8.skip_iptables_needless", source=INSTALL)
@needs_tool
def skip_needless(facts: Facts) -> Prediction:
    """The same with iptables and its module there: the option alone changes nothing."""
    if not facts.user_session:
        return not_applicable("no systemd user session: no unit is made")
    faced = requirements.iptables_missing(facts)
    return Prediction(FLAG if faced else NONE, f"missing for iptables: {', '.join(faced) or '-'}")
