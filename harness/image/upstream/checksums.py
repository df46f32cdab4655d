"""Reading files of digests: GNU (``sha256sum``), BSD (``sha256sum --tag``) and a bare digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from harness.toml import BOM

# 284aab2b…  CentOS-7.qcow2      one space or two, * for binary
GNU = re.compile(r"(?P<hex>[0-9A-Fa-f]{64}|[0-9A-Fa-f]{128}) [ *]?(?P<name>\S.*)")
# SHA256 (Fedora.qcow2) = 284aab2b…
BSD = re.compile(r"SHA(?:256|512) \((?P<name>.+)\) = (?P<hex>[0-9A-Fa-f]{64}|[0-9A-Fa-f]{128})")
BARE = re.compile(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{128}")


class Contradiction(ValueError):
    """One file has two digests."""


def entries(text: str) -> Iterator[tuple[str, str]]:
    """(name, ``sha256:…``) of each line that is one; others, such as comments, are passed over,
    and so are files in other directories.  A bare digest has no name."""
    for line in text.removeprefix(BOM).splitlines():
        line = line.strip()
        if match := GNU.fullmatch(line) or BSD.fullmatch(line):
            name = match["name"].removeprefix("./")
            if "/" not in name and name.isprintable():
                yield name, _labelled(match["hex"])
        elif BARE.fullmatch(line):
            yield "", _labelled(line)


def find(text: str, pattern: str) -> tuple[str, str]:
    """Name (of a bare digest: empty) and digest of the one file whose name matches; the
    strongest digest if there are several kinds.

    Raises ValueError if there is none, or more than one answer; :class:`Contradiction` if they
    are of one name.
    """
    found = list(entries(text))
    if len(found) == 1 and found[0][0] == "":
        return found[0]
    names = {name for name, _ in found if fnmatchcase(name, pattern)}
    if not names:
        raise ValueError(f"has no SHA-256 or SHA-512 of {pattern}")
    if len(names) > 1:
        some = ", ".join(sorted(names)[:4])
        raise ValueError(f"has {len(names)} files that match {pattern}: {some}")
    (name,) = names
    digests = {digest for other, digest in found if other == name}
    for kind in ("sha512:", "sha256:"):
        same = [digest for digest in digests if digest.startswith(kind)]
        if len(same) > 1:
            raise Contradiction(f"has two different digests of {name}")
        if same:
            return name, same[0]
    raise AssertionError(name)


def digest_of(path: Path, kind: str) -> str:
    """``sha256:…`` or ``sha512:…`` of a file."""
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _labelled(text: str) -> str:
    return f"{'sha256' if len(text) == 64 else 'sha512'}:{text.lower()}"
