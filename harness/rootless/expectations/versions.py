"""Comparing the versions that rules depend on."""

from __future__ import annotations

import re

from harness.guest.facts import Facts, version_tuple

# Tools are told apart by their content: a distro may ship another version's.
KNOWN_TOOLS = {
    "2c0860d55f05149006ba60ac9dd41f94e45f13465c4445f5027830a5cfdebd40": "20.10.24",
}


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
