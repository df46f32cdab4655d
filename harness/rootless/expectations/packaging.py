"""Claims about how a distro packages rootless mode, which its twin's packages cannot decide."""

from __future__ import annotations

import functools

from harness.guest.facts import Facts
from harness.rootless.expectations.model import Prediction, not_applicable
from harness.rootless.expectations.start import Rule, needs_tool


def own_packages(function: Rule) -> Rule:
    """The claim says something about the distro's own packages."""

    @functools.wraps(function)
    def guarded(facts: Facts) -> Prediction:
        if facts.twin:
            return not_applicable("the packages are a twin's, not the distro's")
        return function(facts)

    return guarded


def packaged_tool(function: Rule) -> Rule:
    """The claim says something about a setup tool that the distro packages."""
    return own_packages(needs_tool(function))
