"""Is a file the one disk that it claims to be, and no door to other files?

Disk formats can name further files: a backing file, an external data file, other extents.  A
tool that opens such a disk opens those too, whatever they are on this machine.  So the headers
are read here, before any tool gets to see the disk.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
from pathlib import Path

from harness.errors import TestbedError, UsageError
from harness.image import process
from harness.toml import shown

LARGEST = 256 << 30  # bytes that a guest would see

FORMAT = "is `format` in the catalogue right?"
QCOW2, VMDK, VHD = b"QFI\xfb", b"KDMV", b"conectix"
DESCRIPTOR = 1 << 20  # bytes; the description inside a VMDK has fewer


def check(path: Path, kind: str) -> None:
    """Raise UsageError unless the file is a disk of that kind (qcow2, raw, vmdk, vpc) that
    consists of this file alone."""
    try:
        {"qcow2": _qcow2, "raw": _raw, "vmdk": _vmdk, "vpc": _vhd}[kind](path)
    except (struct.error, OverflowError, UnicodeDecodeError):
        raise UsageError(f"{path.name} is no {kind} disk: its header is cut short") from None


def to_qcow2(source: Path, kind: str, target: Path, log: Path) -> None:
    """Convert a checked disk.  The format is named, so that nothing is guessed from content."""
    process.need("qemu-img", "setpriv")
    command = ["qemu-img", "convert", "-f", kind, "-O", "qcow2", str(source), str(target)]
    try:
        process.run(command, log)
    except TestbedError as exc:
        if process.FULL in exc.detail:
            raise
        raise UsageError(f"QEMU cannot read {source.name} as {kind}", detail=exc.detail) from None


def virtual_size(path: Path) -> int:
    """Bytes that a guest sees of a qcow2, as QEMU reads it."""
    process.need("qemu-img")
    ran = subprocess.run(
        ["qemu-img", "info", "-f", "qcow2", "--output=json", str(path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    try:
        size = int(json.loads(ran.stdout)["virtual-size"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"QEMU cannot read {path.name}", detail=ran.stderr.strip()) from None
    _check_size(path, size)
    return size


def _qcow2(path: Path) -> None:
    # magic, version, backing file's offset and length, cluster bits, size, encryption …,
    # from version 3 on: incompatible features at byte 72
    head = _head(path, 104)
    magic, version, backing, _, _, size, crypt = struct.unpack_from(">4sIQIIQI", head)
    if magic != QCOW2 or version not in (2, 3):
        raise UsageError(f"{path.name} is no qcow2 disk", hint=FORMAT)
    if backing:
        raise UsageError(f"{path.name} is a qcow2 with a backing file: refused",
                         hint="an image must be one file; a backing file can be any file here")
    if crypt:
        raise UsageError(f"{path.name} is an encrypted qcow2: refused")
    incompatible = struct.unpack_from(">Q", head, 72)[0] if version == 3 else 0
    if incompatible & 2:
        raise UsageError(f"{path.name} is a qcow2 that says of itself that it is corrupt: refused",
                         hint="fetch it again, or report it to whoever publishes it")
    if incompatible & 4:
        raise UsageError(f"{path.name} is a qcow2 with an external data file: refused",
                         hint="an image must be one file; a data file can be any file here")
    _check_size(path, size)


def _raw(path: Path) -> None:
    size = path.stat().st_size
    if size == 0 or size % 512:
        raise UsageError(f"{path.name} is no raw disk: {size} bytes are no whole sectors",
                         hint=FORMAT)  # fmt: skip
    if _head(path, 512, exact=False)[:4] in (QCOW2, VMDK):
        raise UsageError(f"{path.name} is no raw disk", hint=FORMAT)
    _check_size(path, size)


def _vmdk(path: Path) -> None:
    # magic, version, flags, capacity in sectors, grain size, offset and length of the description
    head = _head(path, 512)
    magic, version, _, capacity, _, offset, length = struct.unpack_from("<4sIIQQQQ", head)
    if magic != VMDK or version not in (1, 2, 3):
        raise UsageError(f"{path.name} is no VMDK of one file: refused",
                         hint="a VMDK that is a description alone names other files")
    # QEMU looks for a parent in the second sector, wherever the header says the description is.
    if not capacity or offset != 1 or not 0 < length * 512 <= DESCRIPTOR:
        raise UsageError(f"{path.name} is a VMDK without a disk of its own: refused")
    with path.open("rb") as file:
        file.seek(offset * 512)
        text = file.read(max(20, length) * 512).decode("latin-1")
    parent = re.search(r"^[^\S\n]*parentCID\s*=\s*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    if "parentfilenamehint" in text.lower() or (parent and parent[1].lower() != "ffffffff"):
        raise UsageError(f"{path.name} is a VMDK with a parent: refused",
                         hint="an image must be one file; a parent can be any file here")
    # RW 33554432 SPARSE "photon-disk1.vmdk"
    extents = re.findall(r"^[^\S\n]*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\S+)", text, re.MULTILINE)
    if extents != ["SPARSE"]:
        some = shown(", ".join(extents[:4]))[:80]
        raise UsageError(f"{path.name} is a VMDK of {len(extents)} extents ({some}): refused",
                         hint="expected one, SPARSE")
    _check_size(path, capacity * 512)


def _vhd(path: Path) -> None:
    # The footer is the last sector; its current size at byte 48, its kind at 60:
    # 2 fixed, 3 dynamic, 4 differencing (has a parent)
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 512))
        foot = file.read(512)
    if foot[:8] != VHD:
        raise UsageError(f"{path.name} is no VHD disk", hint=FORMAT)
    current, kind = struct.unpack_from(">Q", foot, 48)[0], struct.unpack_from(">I", foot, 60)[0]
    if kind not in (2, 3):
        raise UsageError(f"{path.name} is a VHD of kind {kind}, not fixed or dynamic: refused")
    _check_size(path, current)


def _check_size(path: Path, size: int) -> None:
    if not 0 < size <= LARGEST:
        raise UsageError(f"{path.name} is a disk of {size} bytes; the limit is {LARGEST}")


def _head(path: Path, size: int, *, exact: bool = True) -> bytes:
    with path.open("rb") as file:
        head = file.read(size)
    if exact and len(head) < size:
        raise struct.error("short")
    return head
