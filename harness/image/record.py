"""``image.json``: what an image is, written last and checked whenever the image is used."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from harness.image.debian import DISK, INITRD, KERNEL, Built
from harness.image.model import Image, Origin
from harness.image.recipe import Recipe

NAME = "image.json"


class Corrupt(Exception):
    """The directory does not hold what its record says.  The message is for people."""


class Stamp(msgspec.Struct, frozen=True):
    sha256: str
    size: int
    mtime_ns: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    cell: str
    source: str
    recipe_hash: str
    cmdline: str
    built_at: str
    files: dict[str, Stamp]
    packages: dict[str, str]
    preloaded: dict[str, str]
    firmware: tuple[str, ...] = ()
    origin: Origin | None = None


def write(folder: Path, recipe: Recipe, arch: str, built: Built, began: datetime) -> None:
    _save(folder, Record(
        cell=recipe.cell(arch),
        source="built",
        recipe_hash=recipe.hash(arch),
        cmdline=recipe.on(arch).cmdline,
        built_at=began.astimezone(UTC).isoformat(timespec="seconds"),
        files={name: _stamp(folder / name) for name in (DISK, KERNEL, INITRD)},
        packages=built.packages,
        preloaded=built.preloaded,
    ))


def write_fetched(
    folder: Path, cell: str, entry_hash: str, firmware: tuple[str, ...], origin: Origin
) -> None:
    _save(folder, Record(
        cell=cell,
        source="upstream",
        recipe_hash=entry_hash,
        cmdline="",
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files={DISK: _stamp(folder / DISK)},
        packages={},
        preloaded={},
        firmware=firmware,
        origin=origin,
    ))


def load(folder: Path, *, full: bool) -> Image | None:
    """The image in ``folder``; None if there is none; Corrupt if it is not what it was.

    Not ``full``: sizes and times of change.  Where only a time differs (a cache that was copied)
    the bytes decide, and the new time is recorded.
    """
    if not folder.is_dir():
        return None
    try:
        record = msgspec.json.decode((folder / NAME).read_bytes(), type=Record)
    except FileNotFoundError:
        raise Corrupt(f"{NAME} is missing") from None
    except OSError as exc:
        raise Corrupt(f"{NAME} cannot be read: {exc.strerror}") from None
    except (ValueError, RecursionError) as exc:  # msgspec's are of ValueError
        raise Corrupt(f"{NAME} is unreadable: {exc}") from None
    needed = {DISK} if record.origin else {DISK, KERNEL, INITRD}
    if missing := needed - record.files.keys():
        raise Corrupt(f"{NAME} does not name {', '.join(sorted(missing))}")
    touched = [name for name, stamp in record.files.items() if _check(folder / name, stamp, full)]
    if touched:
        files = {name: _stamp(folder / name) for name in record.files}
        _save(folder, msgspec.structs.replace(record, files=files))
    return Image(
        cell=record.cell,
        path=folder / DISK,
        kernel=folder / KERNEL if KERNEL in record.files else None,
        initrd=folder / INITRD if INITRD in record.files else None,
        cmdline=record.cmdline,
        digest=f"sha256:{record.files[DISK].sha256}",
        source=record.source,
        recipe_hash=record.recipe_hash,
        packages=record.packages,
        built_at=record.built_at,
        preloaded=record.preloaded,
        firmware=record.firmware,
        origin=record.origin,
    )


def _check(path: Path, stamp: Stamp, full: bool) -> bool:
    """Raise if the file is not the recorded one; True if only its time of change differs."""
    try:
        now = path.stat()
        if now.st_size != stamp.size:
            raise Corrupt(f"{path.name} has {now.st_size} bytes, not {stamp.size}")
        touched = now.st_mtime_ns != stamp.mtime_ns
        if (full or touched) and (found := _sha256(path)) != stamp.sha256:
            raise Corrupt(f"{path.name} has SHA-256 {found[:12]}…, not {stamp.sha256[:12]}…")
    except FileNotFoundError:
        raise Corrupt(f"{path.name} is missing") from None
    except OSError as exc:
        raise Corrupt(f"{path.name} cannot be read: {exc.strerror}") from None
    return touched


def _stamp(path: Path) -> Stamp:
    now = path.stat()
    return Stamp(_sha256(path), now.st_size, now.st_mtime_ns)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _save(folder: Path, record: Record) -> None:
    """By a rename: another process may be reading."""
    text = msgspec.json.format(msgspec.json.encode(record, order="deterministic"))
    part = folder / f".{NAME}.part"
    part.write_bytes(text + b"\n")
    part.rename(folder / NAME)
