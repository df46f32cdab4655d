"""Single files out of Debian's packages, of any architecture: downloaded and unpacked, not run."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from harness.errors import TestbedError
from harness.image import bootstrap, mirror, process, recipe, store
from harness.image.debian import Progress
from harness.image.finish import BUSYBOX
from harness.image.tree import extract, members

PROGRAMS = ".programs"
RELEASE = "debian-12"  # the recipe of the release whose busybox it is


def take(release: str, arch: str, package: str, path: str, target: Path, log: Path) -> None:
    """Copy *path* of *package*, of the Debian that the recipe *release* names, to *target*, beside
    which there has to be room.  Raises :class:`TestbedError` where it cannot be had."""
    process.need("mmdebstrap")
    tar = target.with_name(f"{target.name}.tar")
    command = bootstrap.unpack(recipe.load(release), arch, package, tar, mirror.choose())
    bootstrap.run(command, log)
    with tarfile.open(tar, "r:") as opened:
        # The package may say where it was before the merge of /usr.
        names = {path.lstrip("/"), path.removeprefix("/usr/")}
        pieces = [node.piece for name, node in members(opened) if node.piece and name in names]
        if not pieces:
            raise TestbedError(f"there is no {path} in {package} of {release}/{arch}")
        extract(pieces[0], target)
    tar.unlink()


def busybox(arch: str, cache: Path, progress: Progress) -> Path:
    """A static busybox of *arch*, for guests that have none.  Taken once, and kept in *cache*, a
    directory of images; whoever puts another there is asked for nothing more."""
    target = cache / PROGRAMS / f"busybox-{arch}"
    with store.locked(target, progress, "fetched"):
        if target.exists():
            return target
        progress(f"taking a busybox for {arch} out of {BUSYBOX} of {RELEASE}")
        with tempfile.TemporaryDirectory(prefix=".taking-", dir=target.parent) as made:
            where = Path(made)
            try:
                take(RELEASE, arch, BUSYBOX, "/usr/bin/busybox", where / "busybox", where / "log")
            except TestbedError as error:
                raise TestbedError(
                    f"no static busybox for {arch} could be had, and containers are made of it:"
                    f" {error.what}",
                    hint=f"another mirror can be given in {mirror.MIRROR_VARIABLE}; or put one"
                         " there yourself",
                    command=f"install -D BUSYBOX {target}", detail=error.detail,
                ) from error  # fmt: skip
            (where / "busybox").rename(target)
    return target
