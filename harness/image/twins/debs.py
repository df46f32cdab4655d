"""The Debian packages that an image holds and has not installed: out of its disk, and unpacked."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote

from harness.errors import TestbedError
from harness.image import process

ARCHIVES = "/var/cache/apt/archives"
TOOLS = ("qemu-img", "debugfs", "dpkg-deb")
# Below /usr since the merge; packages of Debian 11 still say the old.
_MERGED = ("/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/")


@dataclass(frozen=True)
class Deb:
    """An unpacked package.  ``version`` is Debian's."""

    name: str
    version: str
    tree: Path

    def files(self) -> Iterator[tuple[str, Path]]:
        """Where each file belongs, and where it is now."""
        for path in sorted(self.tree.rglob("*")):
            if path.is_symlink() or path.is_file():
                yield merged(f"/{path.relative_to(self.tree)}"), path


def unpack(disk: Path, where: Path, log: Path) -> dict[str, Deb]:
    """Every package in apt's cache on the image *disk*, by name, unpacked below *where*.

    Nothing is mounted, so this needs no privilege; owners are lost, and all is root's anyway."""
    process.need(*TOOLS)
    raw = where / "disk.raw"
    process.run(["qemu-img", "convert", "-O", "raw", str(disk), str(raw)], log)
    process.run(["debugfs", "-R", f'rdump {ARCHIVES} "{where}"', str(raw)], log)
    raw.unlink()
    found = {}
    for path in sorted((where / "archives").glob("*.deb")):
        name, version, _ = unquote(path.name).split("_", 2)
        tree = where / "debs" / name
        tree.mkdir(parents=True)
        process.run(["dpkg-deb", "--extract", str(path), str(tree)], log)
        found[name] = Deb(name, version, tree)
    shutil.rmtree(where / "archives")
    if not found:
        raise TestbedError(f"no packages in {ARCHIVES} of {disk}",
                           hint="build the base's image again")  # fmt: skip
    return found


def matching(debs: dict[str, Deb], globs: tuple[str, ...]) -> list[Deb]:
    return [deb for name, deb in debs.items() if any(fnmatchcase(name, glob) for glob in globs)]


def merged(path: str) -> str:
    return f"/usr{path}" if path.startswith(_MERGED) else path


def upstream(version: str) -> str:
    """The upstream part of a Debian version, as other formats can have it: ``20.10.5`` of
    ``20.10.5+dfsg1-1+deb11u2``, ``1.0.0~rc93`` of ``1.0.0~rc93+ds1-5+deb11u5``, ``4.8.1`` of
    ``1:4.8.1-1``."""
    plain = version.partition(":")[2] or version
    return re.sub(r"[+~](?:dfsg|ds|really)[\w.~+]*", "", plain.rpartition("-")[0] or plain)
