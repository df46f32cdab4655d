"""The image cache: built once, however many ask; trusted only when complete and unchanged.

An image is a directory ``NAME_ARCH-HASH`` that appears by a rename, so whatever has that name was
finished.  Builders work in a ``.building-…`` directory beside it and hold the image's lock.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from harness.errors import TestbedError
from harness.image import debian, process, record
from harness.image.debian import Built, Progress
from harness.image.mirror import MIRROR_VARIABLE
from harness.image.model import Image
from harness.image.recipe import Recipe
from harness.image.record import Corrupt
from harness.paths import writing

# The peak of a build: the tar, the unpacked root and the raw disk at once, and some room.
NEEDED_MIB = 2560

Builder = Callable[[Recipe, str, Path, Progress], Built]


def ensure(
    recipe: Recipe,
    arch: str,
    cache: Path,
    progress: Progress = print,
    *,
    verify: bool = False,
    force: bool = False,
    build: Builder = debian.build,
) -> Image:
    """The image of the recipe, built if ``cache`` (a directory of images) does not hold it.

    ``verify`` reads every byte, as a run does once; otherwise sizes and times are compared.
    ``force`` builds again, for newer packages.
    """
    target = cache / f"{recipe.name}_{arch}-{recipe.hash(arch)[:12]}"
    if not force and (image := _usable(target, verify)):
        return image
    with locked(target, progress):
        sweep(target)
        if not force:
            try:
                if image := record.load(target, full=verify):
                    return image
            except Corrupt as exc:
                progress(f"{recipe.cell(arch)}: the cached image is damaged ({exc}); rebuilding")
        return _build(recipe, arch, target, progress, build)


def verify(image: Image) -> None:
    """Every byte of the disk, the kernel and the initrd against the recorded digests."""
    try:
        if record.load(image.folder, full=True) is None:
            raise Corrupt("it is gone")
    except Corrupt as exc:
        verb = "fetch" if image.origin else "build"
        raise TestbedError(
            f"the image of {image.cell} is damaged: {exc}",
            hint=f"{verb} it again",
            command=f"harness image {verb} {image.cell} --force",
        ) from None


def replaced(image: Image) -> bool:
    """Whether another image lies where *image* did, as ``--force`` leaves it.  Nothing is read
    but the record."""
    try:
        now = record.load(image.folder, full=False)
    except Corrupt:
        return False  # for whoever reads it to say
    return now is not None and now.digest != image.digest


def list_images(cache: Path) -> list[Image]:
    """The images whose files are there; a damaged one is left out."""
    found = []
    for target in sorted(cache.glob("[!.]*")):
        if image := _usable(target, full=False):
            found.append(image)
    return found


def kernel(cache: Path, arch: str) -> Path | None:
    """Any kernel of *arch* that the cache has, to prove an accelerator with."""
    kernels = (i.kernel for i in list_images(cache) if i.cell.endswith(f"/{arch}"))
    return next(filter(None, kernels), None)


def remove(image: Image) -> None:
    with locked(image.folder, lambda line: None):
        discard(image.folder)


def _usable(target: Path, full: bool) -> Image | None:
    try:
        return record.load(target, full=full)
    except Corrupt:
        return None


def _build(recipe: Recipe, arch: str, target: Path, progress: Progress, build: Builder) -> Image:
    began = datetime.now(UTC)
    _check_space(target.parent)
    work = Path(tempfile.mkdtemp(prefix=f".building-{target.name}-", dir=target.parent))
    work.chmod(0o755)
    try:
        built = build(recipe, arch, work, progress)
        record.write(work, recipe, arch, built, began)
        discard(target)
        work.rename(target)
    except BaseException as exc:
        log = _keep_log(work, target)
        process.delete(work)
        if isinstance(exc, OSError) and exc.errno == errno.ENOSPC:
            raise _full(target.parent) from exc
        if isinstance(exc, TestbedError):
            if process.FULL in exc.detail:
                raise _full(target.parent) from exc
            what = f"the image of {recipe.cell(arch)} could not be built: {exc.what}"
            hint = f"the whole log is {log}" if log else exc.hint
            if "Failed to fetch" in exc.detail:
                hint += f"; another mirror can be given in {MIRROR_VARIABLE}"
            raise TestbedError(what, hint=hint, command=exc.command, detail=exc.detail) from exc
        raise
    image = record.load(target, full=False)
    assert image is not None
    took = (datetime.now(UTC) - began).total_seconds()
    progress(f"{image.cell}: built in {took:.0f} s, {image.digest}")
    return image


@contextmanager
def locked(target: Path, progress: Progress, doing: str = "built") -> Iterator[None]:
    """The kernel drops the lock with its holder, so a killed builder blocks nobody."""
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_path(target))
        holder = target.parent / f".{target.name}.pid"
        try:
            lock.acquire(timeout=0)
        except Timeout:
            pid = "?"
            with suppress(OSError):  # it has just ended, or has not said yet
                pid = holder.read_text()
            progress(f"waiting for the image being {doing} by PID {pid}…")
            lock.acquire(poll_interval=0.2)
    try:
        with writing(target.parent):
            holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def lock_path(target: Path) -> Path:
    """The file that whoever makes or removes *target* holds."""
    return target.with_name(f".{target.name}.lock")


def sweep(target: Path) -> None:
    """Remove what dead builders left: whoever can have the lock knows that nobody works there."""
    for left in target.parent.glob(".building-*"):
        name = left.name.removeprefix(".building-").rpartition("-")[0]
        if name == target.name:
            process.delete(left)
        else:
            with suppress(Timeout), FileLock(lock_path(target.with_name(name)), timeout=0):
                process.delete(left)


def discard(target: Path) -> None:
    """Out of the way in one step, so that nobody sees half of it.  Guests that still run on
    the old disk hold it open."""
    if target.exists():
        trash = Path(tempfile.mkdtemp(prefix=f".building-{target.name}-", dir=target.parent))
        target.rename(trash / "old")
        process.delete(trash)


def _keep_log(work: Path, target: Path) -> Path | None:
    if not (work / debian.LOG).exists():
        return None
    return Path(shutil.copy(work / debian.LOG, target.parent / f".{target.name}.log"))


def _free_mib(cache: Path) -> int:
    return shutil.disk_usage(cache).free >> 20


def _check_space(cache: Path) -> None:
    if _free_mib(cache) < NEEDED_MIB:
        raise _full(cache)


def _full(cache: Path) -> TestbedError:
    return TestbedError(
        f"the disk of {cache} is full ({_free_mib(cache)} MiB free;"
        f" building an image needs about {NEEDED_MIB} MiB)",
        hint="free some space, or choose another cache with ROOTLESS_HARNESS_CACHE"
        " (and another TMPDIR, if it is that which is full)",
    )
