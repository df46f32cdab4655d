"""A package about to be made, whatever its format."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError


@dataclass(frozen=True)
class Package:
    """``tree`` holds the files as they are to lie below /, all of root.  ``post`` is a script
    that runs after the installation."""

    name: str
    version: str
    release: str
    arch: str
    summary: str
    tree: Path
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    post: str = ""


@dataclass(frozen=True)
class Entry:
    """A file or a symbolic link of a tree.  ``path`` begins with a slash."""

    path: str
    mode: int
    link: str  # its target; empty for a file


def entries(package: Package) -> Iterator[Entry]:
    """What *package* holds, in order.  Directories come with their files."""
    for folder, names, files in os.walk(package.tree):
        names.sort()
        links = [name for name in names if (Path(folder) / name).is_symlink()]
        for name in sorted([*files, *links]):
            full = Path(folder) / name
            path = "/" + str(full.relative_to(package.tree))
            if not path.isprintable() or set(path) & set(' "%\\*?[]{}'):
                raise UsageError(f"{package.name}: {path!r} cannot be packed")
            link = str(full.readlink()) if full.is_symlink() else ""
            yield Entry(path, stat.S_IMODE(full.lstat().st_mode), link)
