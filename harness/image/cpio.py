"""An initramfs: a cpio archive ("newc", as the Linux kernel's documents have it:
driver-api/early-userspace/buffer-format)."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path


def write(out: Path, files: Iterable[tuple[str, int, bytes]]) -> None:
    """Regular *files*: name, without directories, mode and content."""
    with out.open("wb") as archive:
        for number, (name, mode, content) in enumerate([*files, ("TRAILER!!!", 0, b"")], 1):
            encoded = name.encode() + b"\0"
            kind = stat.S_IFREG if mode else 0
            fields = (
                number, kind | mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0,
            )  # fmt: skip
            header = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
            for part in (header, content):
                archive.write(part + bytes(-len(part) % 4))
