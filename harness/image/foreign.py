"""The root of an image for another architecture than this machine's.

mmdebstrap makes a root of this machine's architecture, at the speed of this machine, and downloads
the packages of the other.  Those take the place of the installed ones (``graft``).  What is left is
for the machine to do that the image is made for, emulated (``finish``).
"""

from __future__ import annotations

import os
import platform
import shutil
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.errors import UsageError
from harness.image import bootstrap, dpkg, finish, process, tree
from harness.image.graft import Graft
from harness.image.labels import Names
from harness.image.recipe import Recipe

Progress = Callable[[str], None]


def root(
    recipe: Recipe, arch: str, tar: Path, source: str | None, log: Path, progress: Progress
) -> finish.Boot:
    """Write *tar*, as :func:`harness.image.bootstrap.native` has mmdebstrap do it, but for what the
    machine that is returned will do on the disk."""
    own = platform.machine()
    finish.need(arch)
    process.need("dpkg-deb", "timeout")
    if finish.BUSYBOX not in recipe.packages.include:
        raise UsageError(f"{recipe.name} does not include {finish.BUSYBOX}, and no image for {arch}"
                         f" is built on {own} without it")  # fmt: skip
    paired, work = tar.with_name("pair.tar"), tar.with_name("debs")
    names = Names.of(own, recipe.on(own).debian), Names.of(arch, recipe.on(arch).debian)
    command = bootstrap.pair(recipe, arch, own, paired, source)
    bootstrap.run(command, log)
    work.mkdir()
    with tarfile.open(paired, "r:") as opened:
        tree_ = tree.Tree.load(opened)
        debs = _debs(tree_, work)
        progress(f"{recipe.cell(arch)}: replacing packages of {names[0].debian} by those of"
                 f" {names[1].debian}")
        grafted = Graft(tree_, debs, *names).run([*recipe.packages.include, recipe.on(arch).kernel])
        boot = finish.prepare(tree_, arch, tar.parent)
        tree_.save(tar)
    with log.open("a") as out:
        for what, which in vars(grafted).items():
            out.write(f"{what}: {' '.join(which)}\n")
    shutil.rmtree(work)
    paired.unlink()
    return boot


def _debs(root: tree.Tree, work: Path) -> list[dpkg.Deb]:
    """Take the packages out of *root*, and what else is none of it."""
    paths = []
    for path in [bootstrap.NOTES, *root.below(bootstrap.NOTES)]:
        node = root.nodes.pop(path)
        if path.endswith(".deb") and node.piece:
            paths.append(work / path.rpartition("/")[2])
            tree.extract(node.piece, paths[-1])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(dpkg.open_deb, sorted(paths)))
