"""Comparing the versions that rules depend on."""

from __future__ import annotations

import re

from harness.guest.facts import Facts, version_tuple

# Tools are told apart by their content: a distro may ship another version's.  These are those of
# Debian's docker.io.
KNOWN_TOOLS = {
    "9b188943d48f2478a8d5e6649ecabf6ebb1094d3a7d3ed09e2de4ee85f491a6c": "20.10.5",
    "2c0860d55f05149006ba60ac9dd41f94e45f13465c4445f5027830a5cfdebd40": "20.10.24",
    "66609532b1da7b37f89e7fb60b129b33b7ec10b1822bc670957e0a4b386613e2": "26.1.5",
    "0172d6f5c301b764a41bc37453d7bfd29c7681c02d3ece9ab109e7d04b52acc2": "28.5.2",
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
