"""The Debian mirror that this machine itself uses, read from its apt configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

MIRROR_VARIABLE = "ROOTLESS_HARNESS_MIRROR"
_ONE_LINE = re.compile(r"deb\s+(?:\[[^]]*\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<rest>[^#]*)")


def choose(etc_apt: Path = Path("/etc/apt")) -> str | None:
    """$ROOTLESS_HARNESS_MIRROR, else the host's main Debian archive, else None: then
    mmdebstrap knows a default.  Security archives do not count; they hold no base system."""
    return os.environ.get(MIRROR_VARIABLE) or next(_main_archives(etc_apt), None)


def _main_archives(etc_apt: Path) -> Iterator[str]:
    files = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]
    for path in files:
        if not path.is_file():
            continue
        text = path.read_text("utf-8", errors="replace")
        entries = {".sources": _deb822, ".list": _one_line}.get(path.suffix)
        for uri, suites, components in entries(text) if entries else ():
            parts = urlsplit(uri)
            if (
                parts.scheme in ("http", "https", "file", "copy")
                and "debian" in parts.path.split("/")
                and "main" in components
                and not all("security" in suite for suite in suites)
            ):
                yield uri


def _one_line(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    # deb [signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian bookworm main
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.strip()):
            yield match["uri"], [match["suite"]], match["rest"].split()


def _deb822(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    # Types: deb⏎ URIs: http://mirror.example/debian⏎ Suites: bookworm⏎ Components: main
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        joined = re.sub(r"\n[ \t]+", " ", stanza)
        fields = {
            key.strip().lower(): value.split()
            for key, colon, value in (line.partition(":") for line in joined.splitlines())
            if colon
        }
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        for uri in fields.get("uris", []):
            yield uri, fields.get("suites", []), fields.get("components", [])
