"""Packages for pacman and their database, which are tars: no tool of the host is needed.

repo-add would make the database, but Debian's does not start without makepkg's library, which
brings a compiler along, and some hosts have no package of it.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from harness.image.twins.package import Package, entries


def build(packages: Iterable[Package], out: Path, name: str) -> None:
    """Leave the packages and the database of the repository *name* in *out*."""
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out / f"{name}.db", "w:gz") as database:
        for package in packages:
            path = _pack(package, out)
            _text(database, f"{package.name}-{version(package)}/desc", desc(package, path))


def version(package: Package) -> str:
    return f"{package.version}-{package.release}"


def desc(package: Package, path: Path) -> str:
    """What the database says of a package, in libalpm's form: a heading, its values, a gap."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    fields = {
        "FILENAME": [path.name], "NAME": [package.name], "BASE": [package.name],
        "VERSION": [version(package)], "DESC": [package.summary],
        "CSIZE": [str(path.stat().st_size)], "ISIZE": [str(_size(package))],
        "SHA256SUM": [digest], "ARCH": [package.arch], "BUILDDATE": ["1"], "PACKAGER": ["none"],
        "CONFLICTS": package.conflicts, "DEPENDS": package.requires,
    }  # fmt: skip
    parts = [f"%{key}%\n" + "".join(f"{v}\n" for v in values) for key, values in fields.items()
             if values]  # fmt: skip
    return "\n".join(parts) + "\n"


def _pack(package: Package, out: Path) -> Path:
    path = out / f"{package.name}-{version(package)}-{package.arch}.pkg.tar.gz"
    found = list(entries(package))
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        _text(tar, ".PKGINFO", info(package))
        if package.post:
            body = f"post_install() {{\n{package.post.rstrip()}\n}}\n"
            _text(tar, ".INSTALL", body + "post_upgrade() { post_install; }\n")
        for folder in sorted({str(p) for e in found for p in Path(e.path).parents} - {"/"}):
            member = tarfile.TarInfo(folder.lstrip("/"))
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        for entry in found:
            member = tarfile.TarInfo(entry.path.lstrip("/"))
            member.mode = entry.mode
            if entry.link:
                member.type, member.linkname = tarfile.SYMTYPE, entry.link
                tar.addfile(member)
                continue
            full = package.tree / entry.path.lstrip("/")
            member.size = full.stat().st_size
            with full.open("rb") as file:
                tar.addfile(member, file)
    return path


def info(package: Package) -> str:
    lines = [
        f"pkgname = {package.name}", f"pkgbase = {package.name}",
        f"pkgver = {version(package)}", f"pkgdesc = {package.summary}",
        "builddate = 1", "packager = none", f"arch = {package.arch}",
        f"size = {_size(package)}",
        *(f"depend = {name}" for name in package.requires),
        *(f"conflict = {name}" for name in package.conflicts),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _size(package: Package) -> int:
    files = [package.tree / e.path.lstrip("/") for e in entries(package) if not e.link]
    return sum(path.stat().st_size for path in files)


def _text(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))
