"""Files that have to be in an image's root before its first boot: put there without a mount.

``debugfs`` writes into the ext4 of one partition of a raw copy.  What it wrote is read back,
because it reports a failure in words alone.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from harness.errors import UsageError
from harness.image import process
from harness.image.recipe import File
from harness.image.upstream import disk
from harness.image.upstream.schema import BEFORE_BOOT, Fix

_SECTOR = 512
_SAFE = re.compile(r"[A-Za-z0-9._/+@-]+")  # what debugfs takes for one word
_EXT_MAGIC = b"\x53\xef", 1080  # of the superblock's own 1024 bytes, at 56


def files(fixes: Sequence[Fix]) -> tuple[File, ...]:
    """The files that belong into the disk before it is booted."""
    return tuple(file for fix in fixes if fix.when == BEFORE_BOOT for file in fix.files)


def in_guest(fixes: Sequence[Fix]) -> tuple[Fix, ...]:
    """The fixes that a booted guest is given."""
    return tuple(fix for fix in fixes if fix.when != BEFORE_BOOT)


def unwritable(file: File) -> str:
    """Why :func:`apply` could not put *file* into any disk; empty where it could."""
    if _SAFE.fullmatch(file.path) and _SAFE.fullmatch(file.link or "-"):
        return ""
    return f"{file.path!r} cannot be written by debugfs: letters, digits and ._/+@- alone"


def apply(path: Path, wanted: Sequence[File], log: Path) -> None:
    """Write *wanted* into the root file system of the qcow2 *path*, beside which there has to be
    room for a raw copy.

    Raises :class:`UsageError` where the disk has no ext4 root, or does not take a file.
    """
    process.need("debugfs", "qemu-img")
    raw, scratch = path.with_name("fixed.raw"), path.with_name("fixed.files")
    scratch.mkdir()
    try:
        command = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(path), str(raw)]
        process.run(command, log)
        root = _root(raw)
        for number, file in enumerate(wanted):
            _write(root, file, scratch / str(number), log)
        path.unlink()
        disk.to_qcow2(raw, "raw", path, log)
    finally:
        raw.unlink(missing_ok=True)
        shutil.rmtree(scratch)


def _root(raw: Path) -> str:
    """debugfs's name of the partition that has an /etc."""
    for offset in (0, *partitions(raw)):
        with raw.open("rb") as file:
            file.seek(offset + _EXT_MAGIC[1])
            if file.read(2) != _EXT_MAGIC[0]:
                continue
        name = f"{raw}?offset={offset}"
        if "Type: directory" in _ask(name, "stat /etc"):
            return name
    raise UsageError("the disk has no ext4 root, and files can be put into no other before boot",
                     hint="is `root` in the catalogue right?")


def partitions(raw: Path) -> Iterator[int]:
    """Where the partitions of a disk begin, in bytes: by its GPT, else by its MBR."""
    with raw.open("rb") as file:
        head = file.read(34 * _SECTOR)
        if head[_SECTOR : _SECTOR + 8] == b"EFI PART":
            # first sector, number and size of the entries
            first, count, size = struct.unpack_from("<QII", head, _SECTOR + 72)
            if count > 1024 or not 128 <= size <= 4096:
                return
            file.seek(first * _SECTOR)
            table = file.read(count * size)
            for at in range(0, len(table) - 127, size):
                if any(table[at : at + 16]):
                    yield struct.unpack_from("<Q", table, at + 32)[0] * _SECTOR
        elif head[510:512] == b"\x55\xaa":
            for at in range(446, 510, 16):
                kind, start = head[at + 4], struct.unpack_from("<I", head, at + 8)[0]
                if kind and start:
                    yield start * _SECTOR


def _write(root: str, file: File, local: Path, log: Path) -> None:
    if why := unwritable(file):
        raise UsageError(why)
    path = PurePosixPath(file.path)
    # debugfs makes half a directory where there is one, and says so in words alone.
    commands = [f"mkdir {parent}" for parent in reversed(path.parents) if not _there(root, parent)]
    if _there(root, path):
        commands.append(f"rm {path}")
    if file.link:
        commands.append(f"symlink {path} {file.link}")
    else:
        local.write_text(file.content, "utf-8")
        commands += [f'write "{local}" {path}', f"sif {path} mode 010{file.mode}"]
        commands += [f"sif {path} {who} 0" for who in ("uid", "gid")]
    script = local.with_suffix(".commands")
    script.write_text("".join(f"{line}\n" for line in commands))
    process.run(["debugfs", "-w", "-f", str(script), root], log)
    if file.link:
        done = f'"{file.link}"' in _ask(root, f"stat {path}")
    else:
        done = _ask(root, f"cat {path}") == file.content
    if not done:
        raise UsageError(f"{path} could not be written into the disk", detail=process.tail(log))


def _there(root: str, path: PurePosixPath) -> bool:
    return "Type: " in _ask(root, f"stat {path}")


def _ask(root: str, question: str) -> str:
    command = [process.find("debugfs") or "debugfs", "-R", question, root]
    ran = subprocess.run(command, capture_output=True, check=False)
    return ran.stdout.decode("utf-8", "replace")
