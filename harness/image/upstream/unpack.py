"""From what was downloaded, and verified, to one qcow2.

Nothing is ever extracted by the name it has in an archive: the one disk in it is copied, byte by
byte and up to a limit, into a file with a name of ours.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from harness.errors import UsageError
from harness.image.debian import DISK
from harness.image.upstream import disk
from harness.toml import shown

PLAIN = "disk.plain"  # what was unpacked, until it is the qcow2
MEMBERS = 64  # an OVA has four
CHUNK = 1 << 20
MEMORY = 512 << 20  # bytes that xz may ask for
HEADERS = 4 << 20  # bytes of all headers, maps of holes too; more want to fill the memory

# format: how it is wrapped, the disk's suffixes inside a tar, QEMU's word for the disk
KINDS = {
    "qcow2": ("", (), "qcow2"),
    "raw": ("", (), "raw"),
    "qcow2.xz": ("xz", (), "qcow2"),
    "raw.xz": ("xz", (), "raw"),
    "raw.tar.gz": ("gz", (".raw", ".img"), "raw"),
    "vhd.tar.gz": ("gz", (".vhd",), "vpc"),
    "ova": ("tar", (".vmdk",), "vmdk"),
}
# The last five: what Python's tarfile lets through of headers that are made to be wrong.
BROKEN = (tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError,
          ValueError, ArithmeticError, LookupError, RecursionError, MemoryError)  # fmt: skip


def unpack(source: Path, form: str, where: Path, log: Path, *, limit: int = disk.LARGEST) -> Path:
    """Leave ``disk.qcow2`` in the directory ``where``.  A plain qcow2 is there and at ``source``
    the same file, where the file system can do that; else it is moved.

    Raises UsageError for anything that is not exactly one disk in one file.
    """
    wrapping, suffixes, kind = KINDS[form]
    plain = source
    if wrapping:
        plain = where / PLAIN
        try:
            _unwrap(source, wrapping, suffixes, plain, limit)
        except BROKEN as exc:
            raise UsageError(f"{source.name} is no {form}, or damaged: {shown(str(exc))[:120]}",
                             hint=disk.FORMAT) from None  # fmt: skip
    disk.check(plain, kind)
    target = where / DISK
    if kind == "qcow2":
        disk.virtual_size(plain)
        _name(plain, target)
    else:
        disk.to_qcow2(plain, kind, target, log)
        disk.virtual_size(target)
    if wrapping:
        plain.unlink(missing_ok=True)
    return target


def _name(plain: Path, target: Path) -> None:
    """What follows may be interrupted, or find the disk full: the download is not to be lost."""
    try:
        target.hardlink_to(plain)
    except OSError:
        plain.rename(target)


def _unwrap(
    source: Path, wrapping: str, suffixes: tuple[str, ...], plain: Path, limit: int
) -> None:
    if wrapping == "xz":
        with source.open("rb") as file:
            _copy(_xz(file), plain, limit, source.name)
        return
    with source.open("rb") as file, _tar(file, wrapping, HEADERS) as archive:
        member = _the_disk(archive, suffixes, limit, source.name)
    # A second time through: only now is it known that there is one, and nothing else amiss.
    with source.open("rb") as file, _tar(file, wrapping) as archive:
        for other in archive:
            if other.offset == member.offset:
                content = archive.extractfile(other)
                assert content is not None
                _copy(_chunks(content), plain, limit, source.name)
                return


def _the_disk(
    archive: tarfile.TarFile, suffixes: tuple[str, ...], limit: int, name: str
) -> tarfile.TarInfo:
    found: list[tarfile.TarInfo] = []
    total = 0
    for number, member in enumerate(archive, 1):
        path = PurePosixPath(member.name)
        if number > MEMBERS:
            raise UsageError(f"{name} holds more than {MEMBERS} files: refused")
        if path.is_absolute() or ".." in path.parts or "\0" in member.name:
            raise UsageError(f"{name} holds {member.name!r}, which leads out of it: refused")
        if not (member.isreg() or member.isdir()):
            raise UsageError(f"{name} holds {member.name!r}, a link or a device: refused")
        total += member.size
        if total > limit:
            raise UsageError(f"{name} unpacks to more than {limit} bytes: refused")
        if member.isreg() and path.suffix.lower() in suffixes:
            found.append(member)
    if len(found) != 1:
        what = shown(", ".join(member.name for member in found[:4])) or "none"
        raise UsageError(f"{name} holds {len(found)} disks ({' or '.join(suffixes)}), not one:"
                         f" {what}")  # fmt: skip
    return found[0]


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _copy(chunks: Iterator[bytes], target: Path, limit: int, name: str) -> None:
    """Blocks of zeros become holes, as they were before they were packed."""
    done = 0
    with target.open("wb") as out:
        for chunk in chunks:
            done += len(chunk)
            if done > limit:
                raise UsageError(f"{name} unpacks to more than {limit} bytes: refused")
            if chunk.count(0) == len(chunk):
                out.seek(len(chunk), io.SEEK_CUR)
            else:
                out.write(chunk)
        out.truncate(done)


def _xz(file: IO[bytes]) -> Iterator[bytes]:
    """At most ``CHUNK`` bytes at a time, however well they were packed."""
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MEMORY)
    data = file.read(CHUNK)
    while True:
        if unpacker.eof:
            data = (unpacker.unused_data + file.read(CHUNK)).lstrip(b"\0")  # padding
            if not data:
                return
            unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MEMORY)
        elif unpacker.needs_input and not data:
            data = file.read(CHUNK)
            if not data:
                raise EOFError("it ends in the middle")
        if piece := unpacker.decompress(data, CHUNK):
            yield piece
        data = b""


class _Careful(io.BufferedIOBase):
    """Refuses to read huge headers into memory: more than *budget* bytes, where nothing else is
    read, content being sought over."""

    def __init__(self, inner: IO[bytes], budget: int | None) -> None:
        self._inner = inner
        self._left = budget

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= (HEADERS if self._left is None else self._left):
            raise tarfile.ReadError("its headers are too large")
        data = self._inner.read(size)
        if self._left is not None:
            self._left -= len(data)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()


@contextmanager
def _tar(
    file: IO[bytes], wrapping: str, budget: int | None = None
) -> Iterator[tarfile.TarFile]:
    inner: IO[bytes] = gzip.GzipFile(fileobj=file) if wrapping == "gz" else file  # type: ignore[assignment]
    with tarfile.open(fileobj=_Careful(inner, budget), mode="r:") as archive:
        yield archive
