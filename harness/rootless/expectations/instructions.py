"""What the setup tool tells root to do, and a start that was not prepared (D6, D8, P12)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations import missing, requirements
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.sources import MANUAL, PHOTON
from harness.rootless.expectations.start import needs_engine, needs_tool, start
from harness.rootless.traits import assume, trait

INSTALL = f"{MANUAL}, 'Install'"
# What a block of commands can cure without a package.
CURABLE = ("userns_clone", "max_user_namespaces", "subuid", "subgid")
OFFERED = "100000:65536"  # whoever has it


def lacking(facts: Facts) -> tuple[str, ...]:
    """Those of CURABLE that this machine can be without."""
    return tuple(
        name
        for name in CURABLE
        if name not in missing.KNOBS
        or trait(missing.PREREQUISITES[name][0]).probe(facts) != "absent"
    )


def _silent(facts: Facts) -> bool:
    return requirements.check(missing.without(facts, "subuid")) == "silent failure"


@rule("D8.iptables_way_out", source=INSTALL)
@needs_tool
def way_out(facts: Facts) -> Prediction:
    """Whether `install` without iptables names --skip-iptables: ``named`` or ``not named``.
    A tool that cannot say how to install iptables stops before it comes to that."""
    said = requirements.check(assume(facts, {"iptables": "none"}))
    if not requirements.installer(facts):
        return Prediction("not named", "neither apt-get, dnf nor yum is there")
    return Prediction("named" if "iptables" in said else "not named", f"check says: {said}")


@rule("D8.block", source=INSTALL)
@needs_tool
def block(facts: Facts) -> Prediction:
    """`check` after root ran the block of commands that it had printed for all of CURABLE, in
    the words of requirements.py."""
    if _silent(facts):
        return not_applicable("the tool says nothing where a line in /etc/subuid is missing")
    cured = {"subordinate-uids": "65536", "subordinate-gids": "65536"}
    if "userns_clone" in lacking(facts):
        cured["userns-clone"] = "1"
    if "max_user_namespaces" in lacking(facts):
        cured["max-user-namespaces"] = ">0"
    value = requirements.check(assume(facts, cured))
    return Prediction(value, f"cured: {', '.join(lacking(facts))}")


@rule("D8.subuid_line", source=INSTALL)
@needs_tool
def subuid_line(facts: Facts) -> Prediction:
    """The ids in the line for /etc/subuid that the tool prints while another user has them."""
    if _silent(facts):
        return not_applicable("the tool says nothing where a line in /etc/subuid is missing")
    return Prediction(OFFERED, f"setup tool of engine {facts.engine}: it never looks who has them")


def _id_command(name: str) -> None:
    def predict(facts: Facts) -> Prediction:
        said = requirements.check(missing.without(facts, name))
        if not said.startswith("missing: ") or name not in said:
            return not_applicable(f"check says: {said}")
        return Prediction(f'echo "{facts.user}:{OFFERED}" >> /etc/{name}', f"user {facts.user}")

    predict.__doc__ = (
        f"The command for /etc/{name} in the block that `install` prints where the user has no "
        "line in it, or ``no command``."
    )
    rule(f"D8.{name}_command", source=INSTALL)(needs_tool(predict))


_id_command("subuid")
_id_command("subgid")


@rule("D8.no_manager", source=INSTALL)
@needs_tool
def no_manager(facts: Facts) -> Prediction:
    """`check` without newuidmap and iptables, where apt-get, dnf and yum are missing too: it
    stops at the first program, having no command to print."""
    said = requirements.check(missing.without(facts, "newuidmap", "iptables"))
    value = "missing: newuidmap" if said.startswith("missing: ") else said
    return Prediction(value, f"no package manager (setup tool of engine {facts.engine})")


@rule("D6.start_without", source=f"{MANUAL}, 'Prerequisites'")
@needs_engine
def start_without_ids(facts: Facts) -> Prediction:
    """Starting the daemon of a user without subordinate uids: ``fails: subuid``."""
    return Prediction(start(assume(facts, {"subordinate-uids": "none"})), "no subordinate uids")


@rule("P12.start_without_rootlesskit", source=f"{PHOTON}, 'Usage'")
@needs_engine
def start_without_rootlesskit(facts: Facts) -> Prediction:
    """Starting the daemon without rootlesskit: ``fails: rootlesskit``."""
    return Prediction(start(assume(facts, {"rootlesskit": "missing"})), "rootlesskit missing")
