"""From Debian packages to another distro's, on small ones made for the test."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import msgspec
import pytest

from harness.errors import TestbedError
from harness.image.model import Image
from harness.image.twins import debs, repository, schema
from harness.image.twins.debs import Deb
from harness.image.twins.schema import Part, Take, Twin, TwinPackage
from tests.unit.packages.local import need

TWIN = Twin(
    distro="some", release="1", base="debian-12", os_release="ID=some\nVARIANT_ID=twin", package=(
        TwinPackage("engine", "docker.io", "An engine", ("engine", "unit"), ("lib",)),
        TwinPackage("lib", "libslirp0", "A library", ("lib",)),
    ),
    tools=schema.Tools("pacman", ()), repository=schema.Repository("pacman", "1"),
)  # fmt: skip
PARTS = {
    "engine": Part((Take(("docker.io",), ("/usr/sbin/dockerd",), "/usr/bin/"),), post=("a", "b")),
    "unit": Part((Take(("docker*",), ("/usr/lib/systemd/system/*",),
                       replace={"/usr/sbin/": "/usr/bin/"}),), post=("b", "c")),
    "lib": Part((Take(("libslirp0",), ("/usr/lib/*/lib*.so.*",)),
                 Take(("libglib*",), ("/usr/lib/*",), optional=True))),
}  # fmt: skip


def deb(where: Path, name: str, version: str, files: dict[str, str]) -> Deb:
    tree = where / name
    for path, text in files.items():
        target = tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            target.symlink_to(text[2:])
            continue
        target.write_text(text)
        target.chmod(0o4755 if "sbin" in path else 0o644)
    return Deb(name, version, tree)


def image_at(disk: Path, digest: str) -> Image:
    return Image("debian-12/x86_64", disk, None, None, "", digest, "built", "", {}, "")


def found(where: Path) -> dict[str, Deb]:
    made = [
        deb(where, "docker.io", "20.10.5+dfsg1-1+deb11u2", {
            "/usr/sbin/dockerd": "elf", "/lib/systemd/system/docker.service":
            "ExecStart=/usr/sbin/dockerd -H fd://\n", "/usr/share/doc/x": ""}),
        deb(where, "libslirp0", "4.4.0-1+deb11u2", {
            "/usr/lib/x86_64-linux-gnu/libslirp.so.0": "->libslirp.so.0.2.3",
            "/usr/lib/x86_64-linux-gnu/libslirp.so.0.2.3": "elf"}),
    ]  # fmt: skip
    return {one.name: one for one in made}


def test_a_tree_has_what_the_parts_say(tmp_path: Path) -> None:
    engine, lib = repository.stage(TWIN, PARTS, found(tmp_path / "debs"), tmp_path / "trees")
    assert (engine.version, engine.release, engine.requires) == ("20.10.5", "1", ("lib",))
    assert engine.post == "a\nb\nc"
    program = engine.tree / "usr/bin/dockerd"
    assert program.stat().st_mode & 0o7777 == 0o4755
    unit = engine.tree / "usr/lib/systemd/system/docker.service"  # not below /lib, a link now
    assert unit.read_text() == "ExecStart=/usr/bin/dockerd -H fd://\n"
    assert not (engine.tree / "usr/share").exists()
    link = lib.tree / "usr/lib/x86_64-linux-gnu/libslirp.so.0"
    assert link.readlink() == Path("libslirp.so.0.2.3")


def test_nothing_found_is_an_error_that_names_the_part(tmp_path: Path) -> None:
    have = found(tmp_path / "debs")
    (have["docker.io"].tree / "usr/sbin/dockerd").unlink()
    with pytest.raises(TestbedError, match=r"nothing for engine in docker\.io: /usr/sbin"):
        repository.stage(TWIN, PARTS, have, tmp_path / "trees")


def test_a_version_that_nobody_has(tmp_path: Path) -> None:
    have = found(tmp_path / "debs")
    del have["libslirp0"]
    with pytest.raises(TestbedError, match="the version of libslirp0, which debian-12 does not"):
        repository.stage(TWIN, PARTS, have, tmp_path / "trees")


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [
        ("20.10.5+dfsg1-1+deb11u2", "20.10.5"),
        ("1.0.0~rc93+ds1-5+deb11u5", "1.0.0~rc93"),
        ("1.4.13~ds1-1~deb11u4", "1.4.13"),
        ("1:4.8.1-1", "4.8.1"),
        ("28.5.2+dfsg4-5", "28.5.2"),
        ("1.14-1+b1", "1.14"),
    ],
)
def test_upstream_versions(debian: str, upstream: str) -> None:
    assert debs.upstream(debian) == upstream


def test_from_a_disk_to_a_tar_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(*debs.TOOLS, "mke2fs")
    monkeypatch.setattr(schema, "parts", lambda: PARTS)
    root = tmp_path / "root/var/cache/apt/archives"
    root.mkdir(parents=True)
    for one in found(tmp_path / "debs").values():
        control = one.tree / "DEBIAN/control"
        control.parent.mkdir()
        control.write_text(f"Package: {one.name}\nVersion: {one.version}\nArchitecture: amd64\n"
                           "Maintainer: nobody <n@n>\nDescription: x\n")  # fmt: skip
        subprocess.run(["dpkg-deb", "--build", one.tree, root], check=True, capture_output=True)
    raw, disk = tmp_path / "raw", tmp_path / "disk.qcow2"
    path = "/usr/sbin:/sbin:/usr/bin:/bin"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "root", raw, "8M"], check=True,
                   env={"PATH": path})  # fmt: skip
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, disk], check=True)
    image = image_at(disk, "sha256:1")
    said: list[str] = []
    built = repository.ensure(TWIN, image, tmp_path / "cache", said.append)
    assert said == ["some-1: making the twin's packages of debian-12/x86_64's"]
    assert built.versions == {"engine": "20.10.5-1", "lib": "4.4.0-1"}
    with tarfile.open(built.tar) as tar:
        names = set(tar.getnames())
    assert {"./twin.db", "./engine-20.10.5-1-x86_64.pkg.tar.gz"} <= names
    assert repository.ensure(TWIN, image, tmp_path / "cache", said.append) == built
    assert len(said) == 1
    left = [path.name for path in (tmp_path / "cache").iterdir() if ".building" in path.name]
    assert left == []
    assert repository.key(msgspec.structs.replace(TWIN, package=TWIN.package[1:]), image) != \
        built.key  # fmt: skip
