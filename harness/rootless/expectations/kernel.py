"""Kernel switches and modules (P11, M6–M9).

These rules speak of a machine after a change.  They assume the change themselves, so the facts
may be read before it or after it.
"""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations import requirements
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.sources import MOBY, PHOTON
from harness.rootless.expectations.start import Rule, needs_engine, needs_tool, start
from harness.rootless.traits import assume, trait

HINTS = f"{MOBY}, 'Distribution-specific hint'"


def _knob_rules(claim: str, source: str, name: str, off: str, on: str) -> None:
    """Four rules about one switch: the tool and the daemon, with it off and with it on."""

    def only_with_knob(function: Rule) -> Rule:
        def guarded(facts: Facts) -> Prediction:
            if trait(name).probe(facts) == "absent":
                return not_applicable(f"{trait(name).summary.split(':')[0]} does not exist here")
            return function(facts)

        guarded.__doc__ = function.__doc__
        return guarded

    def check(value: str) -> Rule:
        return lambda facts: Prediction(
            requirements.check(assume(facts, {name: value})), f"{name} {value}"
        )

    def begin(value: str) -> Rule:
        return lambda facts: Prediction(start(assume(facts, {name: value})), f"{name} {value}")

    rules = {
        "without": (needs_tool(check(off)), f"`check` with {name} {off}, as requirements.py says."),
        "start": (needs_engine(begin(off)), f"Starting the daemon with {name} {off}: "
                                            "``fails: REASON`` (start.reason_in) or ``starts``."),
        "cured": (needs_tool(check(on)), "`check` after the hint."),
        "start_cured": (needs_engine(begin(on)), "Starting the daemon after the hint."),
    }  # fmt: skip
    for aspect, (function, observe) in rules.items():
        function.__doc__ = observe
        rule(f"{claim}.{aspect}", source=source)(only_with_knob(function))


_knob_rules("P11", f"{PHOTON}, 'Prerequisites'", "userns-clone", "0", "1")
_knob_rules("M6", f"{HINTS}, Debian", "userns-clone", "0", "1")
_knob_rules("M7", f"{HINTS}, Arch Linux", "userns-clone", "0", "1")
_knob_rules("M9", f"{HINTS}, RHEL/CentOS 7", "max-user-namespaces", "0", ">0")


@rule("M9.one", source=f"{HINTS}, RHEL/CentOS 7")
@needs_tool
def one_namespace(facts: Facts) -> Prediction:
    """`check` with user.max_user_namespaces=1: the tool compares with exactly 0."""
    if trait("max-user-namespaces").probe(facts) == "absent":
        return not_applicable("user.max_user_namespaces does not exist here")
    changed = assume(facts, {"max-user-namespaces": ">0"})
    return Prediction(requirements.check(changed), "user.max_user_namespaces is not 0")


MODULES = ("ip_tables", "iptable_mangle", "iptable_nat", "iptable_filter")


def _legacy(function: Rule) -> Rule:
    def guarded(facts: Facts) -> Prediction:
        if facts.iptables != "legacy":
            return not_applicable(f"iptables is {facts.iptables or 'none'}, not legacy")
        return function(facts)

    guarded.__doc__ = function.__doc__
    return guarded


@rule("M8", source=f"{HINTS}, openSUSE")
@needs_tool
@_legacy
def modules(facts: Facts) -> Prediction:
    """`check` after `modprobe` of MODULES, in the words of requirements.py."""
    changed = assume(facts, {"ip_tables-module": "loaded"})
    return Prediction(requirements.check(changed), "iptables legacy, ip_tables loaded")


@rule("M8.without", source=f"{HINTS}, openSUSE")
@needs_tool
@_legacy
def without_modules(facts: Facts) -> Prediction:
    """`check` without ip_tables."""
    changed = assume(facts, {"ip_tables-module": "available"})
    return Prediction(requirements.check(changed), "iptables legacy, ip_tables not loaded")


@rule("M8.start", source=f"{HINTS}, openSUSE")
@needs_engine
@_legacy
def start_without_modules(facts: Facts) -> Prediction:
    """Starting the daemon without ip_tables: ``fails: ip_tables``."""
    changed = assume(facts, {"ip_tables-module": "available"})
    return Prediction(start(changed), "iptables legacy, ip_tables not loaded")


@rule("M8.nft_start", source=f"{HINTS}, openSUSE")
@needs_engine
def start_nft(facts: Facts) -> Prediction:
    """The same with iptables-nft, which needs none of MODULES: ``starts``."""
    if facts.iptables != "nft":
        return not_applicable(f"iptables is {facts.iptables or 'none'}, not nft")
    changed = assume(facts, {"ip_tables-module": "available"})
    return Prediction(start(changed), "iptables nft, ip_tables not loaded")
