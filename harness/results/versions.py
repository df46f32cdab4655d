"""The upstream part of a distro's package version, comparable with a range."""

from __future__ import annotations

import re

from packaging.specifiers import SpecifierSet
from packaging.version import Version

# 20.10.24+dfsg1-1+deb12u1, 5:24.0.7-1~debian.12~bookworm, 29.0.0~rc1-1, v27.1.0-rc.1, 18.09.1
_UPSTREAM = re.compile(
    r"(?:\d+:)?v?(?P<release>\d+(?:\.\d+)*)(?:[-~.]?(?P<stage>alpha|beta|rc)[.-]?(?P<number>\d+))?"
)


def upstream_version(text: str) -> Version | None:
    """``"5:20.10.24+dfsg1-1+deb12u1"`` → ``20.10.24``; ``None`` where there is no number."""
    found = _UPSTREAM.match(text.strip())
    if not found:
        return None
    stage = f"{found['stage']}{found['number']}" if found["stage"] else ""
    return Version(found["release"] + stage)


def in_range(text: str, spec: SpecifierSet | None) -> bool:
    """Whether a package version lies in ``spec``.  No range holds every version; a version that
    cannot be read lies in no range."""
    if spec is None:
        return True
    version = upstream_version(text)
    return version is not None and spec.contains(version, prereleases=True)
