"""An initramfs, read back."""

from __future__ import annotations

import stat
from pathlib import Path

from harness.image import cpio


def read(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content by name; all of *data* has to be understood."""
    at = 0
    found: dict[str, tuple[int, bytes]] = {}
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        at = -(-(at + 110 + length) // 4) * 4
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        found[name] = mode, data[at : at + size]
        at = -(-(at + size) // 4) * 4


def test_files_are_read_back(tmp_path: Path) -> None:
    archive = tmp_path / "initramfs"
    files = [("init", 0o755, b"#!/busybox sh\n"), ("modules", 0o644, b""), ("x", 0o644, b"12345")]
    cpio.write(archive, files)
    assert read(archive.read_bytes()) == {
        name: (stat.S_IFREG | mode, content) for name, mode, content in files
    }
