"""Debian packages and their index, by dpkg-deb.  Needs no privilege."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from harness.image import process
from harness.image.twins.package import Package

ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}


def build(packages: Iterable[Package], out: Path, log: Path) -> None:
    """Leave the packages and the index, ``Packages``, in *out*: a repository of one directory.

    dpkg-scanpackages would make the index, but it is in dpkg-dev, which brings a compiler along.
    """
    out.mkdir(parents=True, exist_ok=True)
    stanzas = []
    for package in packages:
        path = _pack(package, out, log)
        stanzas.append(
            f"{control(package)}Filename: ./{path.name}\nSize: {path.stat().st_size}\n"
            f"SHA256: {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        )
    (out / "Packages").write_text("\n".join(stanzas))


def version(package: Package) -> str:
    return f"{package.version}-{package.release}"


def control(package: Package) -> str:
    """What dpkg is told of a package (deb-control(5))."""
    fields = {
        "Package": package.name, "Version": version(package),
        "Architecture": ARCHES[package.arch], "Maintainer": "nobody <nobody@localhost>",
        "Depends": ", ".join(package.requires), "Conflicts": ", ".join(package.conflicts),
        "Description": package.summary,
    }  # fmt: skip
    return "".join(f"{key}: {value}\n" for key, value in fields.items() if value)


def _pack(package: Package, out: Path, log: Path) -> Path:
    """The tree becomes the package's own: what dpkg is told is written into it."""
    told = package.tree / "DEBIAN"
    told.mkdir(parents=True)
    (told / "control").write_text(control(package))
    if package.post:
        script = told / "postinst"
        script.write_text(f"#!/bin/sh\nset -e\n{package.post.rstrip()}\n")
        script.chmod(0o755)
    path = out / f"{package.name}_{version(package)}_{ARCHES[package.arch]}.deb"
    process.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build",
                 str(package.tree), str(path)], log)  # fmt: skip
    return path
