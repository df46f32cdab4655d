"""An image: the disk a cell boots from, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.image.upstream.schema import Fix


@dataclass(frozen=True)
class Origin:
    """Where a fetched image came from, and why it was believed."""

    url: str
    digest: str  # of the file as it was downloaded: sha256:… or sha512:…
    trust: str  # in words: pinned digest; signed by …; unsigned checksum; first use
    format: str  # of that file, as the catalogue calls it


@dataclass(frozen=True)
class Hardware:
    """The machine that a disk was made for, in the catalogue's words."""

    disk: str = "virtio"
    seed: str = "virtio"
    nic: str = "virtio"


@dataclass(frozen=True)
class Image:
    """``path`` is a qcow2 that nobody writes to: guests get an overlay.  ``digest`` is the
    SHA-256 of that file, as ``sha256sum`` prints it.

    A built image has a kernel and an initrd, and is booted directly.  An upstream one has
    neither: the firmware finds its boot loader."""

    cell: str  # debian-12/x86_64
    path: Path
    kernel: Path | None
    initrd: Path | None
    cmdline: str
    digest: str  # sha256:…
    source: str  # built or upstream
    recipe_hash: str  # of the recipe, or of the entry in the catalogue
    packages: Mapping[str, str]  # installed: name to version
    built_at: str  # ISO 8601, UTC
    preloaded: Mapping[str, str] = field(default_factory=dict)  # downloaded, not installed
    firmware: tuple[str, ...] = ()  # bios, uefi: what it boots with, the better one first
    origin: Origin | None = None  # of an upstream image
    hardware: Hardware = Hardware()
    fixes: tuple[Fix, ...] = ()  # what an upstream image needs once it has booted

    @property
    def folder(self) -> Path:
        return self.path.parent
