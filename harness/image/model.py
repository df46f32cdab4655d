"""An image: the disk a cell boots from, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Image:
    """``path`` is a qcow2 that nobody writes to: guests get an overlay.  ``digest`` is the
    SHA-256 of that file, as ``sha256sum`` prints it.  The kernel is booted directly."""

    cell: str  # debian-12/x86_64
    path: Path
    kernel: Path
    initrd: Path
    cmdline: str
    digest: str  # sha256:…
    source: str  # built
    recipe_hash: str
    packages: Mapping[str, str]  # installed: name to version
    built_at: str  # ISO 8601, UTC
    preloaded: Mapping[str, str] = field(default_factory=dict)  # downloaded, not installed

    @property
    def folder(self) -> Path:
        return self.path.parent
