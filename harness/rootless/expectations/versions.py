"""Comparing the versions that rules depend on."""

from __future__ import annotations

import re

from harness.guest.facts import Facts, version_tuple
from harness.rootless.traits.tools import KNOWN_TOOLS


def engine_at_least(facts: Facts, version: str) -> bool:
    return facts.engine_version >= version_tuple(version)


def tool_version(facts: Facts) -> tuple[int, ...]:
    """The version of the setup tool: by its digest, else that of the engine it came with."""
    return version_tuple(KNOWN_TOOLS.get(facts.setuptool_sha256, facts.engine))


def tool_at_least(facts: Facts, version: str) -> bool:
    return tool_version(facts) >= version_tuple(version)


def tool_between(facts: Facts, first: str, last: str) -> bool:
    """From ``first`` to ``last``, both included, and every patch release of ``last``."""
    end = version_tuple(last)
    return tool_at_least(facts, first) and tool_version(facts)[: len(end)] <= end


def rootlesskit_at_least(facts: Facts, version: str) -> bool:
    """A rootlesskit whose version is not known counts as new."""
    return not facts.rootlesskit or version_tuple(facts.rootlesskit) >= version_tuple(version)


def kernel_at_least(facts: Facts, version: str) -> bool:
    series = tuple(int(number) for number in re.findall(r"\d+", facts.kernel)[:2])
    return series >= version_tuple(version)
