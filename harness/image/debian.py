"""Building a Debian image from Debian's packages, as root or as an ordinary user.

mmdebstrap makes a tar of the root.  The tar and an overlay with the recipe's files are unpacked
under fakeroot, where ``mke2fs -d`` turns them into a file system: no loop device, no mount, no
privilege.  fakeroot cannot keep extended attributes, so debugfs puts those in afterwards.
"""

from __future__ import annotations

import io
import json
import platform
import re
import shlex
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from harness.errors import TestbedError
from harness.image import bootstrap, finish, foreign, mirror, process
from harness.image.recipe import File, Recipe
from harness.image.tree import XATTR

Progress = Callable[[str], None]

DISK, KERNEL, INITRD, LOG = "disk.qcow2", "vmlinuz", "initrd.img", "build.log"


@dataclass(frozen=True)
class Built:
    """What a builder found out; the files themselves are in the directory it was given."""

    packages: dict[str, str]
    preloaded: dict[str, str]


def build(recipe: Recipe, arch: str, where: Path, progress: Progress) -> Built:
    """Leave ``disk.qcow2``, ``vmlinuz`` and ``initrd.img`` in the directory ``where``."""
    process.need("mmdebstrap", "fakeroot", "mke2fs", "debugfs", "qemu-img", "setpriv")
    log, tar, overlay = where / LOG, where / "root.tar", where / "overlay.tar"
    root, raw = where / "root", where / "disk.raw"

    source = mirror.choose()
    progress(f"{recipe.cell(arch)}: installing packages of {recipe.suite}"
             f" from {source or 'the default mirror'}")
    boot = None
    if arch == platform.machine():
        command = bootstrap.native(recipe, arch, tar, source)
        bootstrap.run(command, log)
    else:
        boot = foreign.root(recipe, arch, tar, source, log, progress)

    progress(f"{recipe.cell(arch)}: making the file system")
    _write_overlay(recipe, overlay)
    root.mkdir()
    process.run(["fakeroot", "--", "sh", "-euc", _populate(recipe, where)], log)
    _restore_xattrs(tar, raw, where / "xattrs", log)
    tar.unlink()

    if boot:
        progress(f"{recipe.cell(arch)}: configuring the kernel in an emulated machine")
        finish.run(boot, raw, log)

    (kernel,) = (root / "boot").glob("vmlinuz-*")
    _dump(raw, f"/boot/{kernel.name}", where / KERNEL, log)
    _dump(raw, f"/boot/{kernel.name.replace('vmlinuz', 'initrd.img')}", where / INITRD, log)
    _dump(raw, "/var/lib/dpkg/status", where / "status", log)
    built = Built(
        packages=dict(_installed((where / "status").read_text("utf-8"))),
        preloaded=dict(_debs(root / "var/cache/apt/archives")),
    )
    process.delete(root)

    process.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(where / DISK)], log)
    for leftover in (raw, overlay, where / "status"):
        leftover.unlink()
    return built


def _populate(recipe: Recipe, where: Path) -> str:
    omit = " ".join(shlex.quote(f"--exclude={pattern}") for pattern in recipe.omit)
    return f"""
cd {shlex.quote(str(where))}
tar --extract --numeric-owner {omit} --directory=root --file=root.tar
tar --extract --numeric-owner --directory=root --file=overlay.tar
truncate --size={recipe.disk_gib}G disk.raw
mke2fs -q -t ext4 -L root -m 0 -E lazy_itable_init=1 -d root disk.raw
"""


def _overlay_files(recipe: Recipe) -> Iterator[File]:
    yield from recipe.files
    if recipe.cloud:
        yield File("/etc/cloud/cloud.cfg.d/90-harness.cfg", json.dumps(recipe.cloud) + "\n")
    units = "/etc/systemd/system"
    for unit in recipe.units.mask:
        yield File(f"{units}/{unit}", link="/dev/null")
    for unit in recipe.units.enable:
        yield File(f"{units}/multi-user.target.wants/{unit}", link=f"/lib/systemd/system/{unit}")


def _write_overlay(recipe: Recipe, overlay: Path) -> None:
    with tarfile.open(overlay, "w") as tar:
        for file in _overlay_files(recipe):
            member = tarfile.TarInfo("." + file.path)
            content = file.content.encode()
            if file.link:
                member.type, member.linkname, content = tarfile.SYMTYPE, file.link, b""
            member.size, member.mode = len(content), int(file.mode, 8)
            tar.addfile(member, io.BytesIO(content))


def _restore_xattrs(tar: Path, raw: Path, scratch: Path, log: Path) -> None:
    """File capabilities (ping has one), from the headers of the tar into the file system."""
    scratch.mkdir()
    commands: list[str] = []
    with tarfile.open(tar, "r|") as stream:
        for member in stream:
            for key, value in member.pax_headers.items():
                name = key.removeprefix(XATTR)
                if name == key or not name.startswith(("security.", "user.")):
                    continue
                data = scratch / str(len(commands))
                data.write_bytes(value.encode("utf-8", "surrogateescape"))
                commands.append(f'ea_set -f "{data}" "{member.name.lstrip(".")}" {name}')
    script = scratch / "commands"
    script.write_text("\n".join(commands) + "\n")
    process.run(["debugfs", "-w", "-f", str(script), str(raw)], log)
    shutil.rmtree(scratch)


def _dump(raw: Path, path: str, target: Path, log: Path) -> None:
    process.run(["debugfs", "-R", f'dump "{path}" "{target}"', str(raw)], log)
    if not target.exists() or not target.stat().st_size:  # debugfs has one status for everything
        raise TestbedError(f"the file system has no {path}")


def _installed(status: str) -> Iterator[tuple[str, str]]:
    # Package: dash⏎ Status: install ok installed⏎ … Version: 0.5.12-2
    for stanza in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.+)$", stanza, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            yield fields["Package"], fields["Version"]


def _debs(archives: Path) -> Iterator[tuple[str, str]]:
    # uidmap_1%3a4.13+dfsg1-1+deb12u2_amd64.deb
    for path in sorted(archives.glob("*.deb")):
        name, version, _ = unquote(path.name).split("_", 2)
        yield name, version
