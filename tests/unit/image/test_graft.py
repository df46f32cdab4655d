"""Packages of one architecture in the place of those of another: a toy root, and toy packages that
dpkg-deb makes.  What dpkg itself thinks of the outcome is asked too."""

from __future__ import annotations

import itertools
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from harness.errors import TestbedError
from harness.image import dpkg
from harness.image.graft import Graft, Grafted
from harness.image.labels import Names
from harness.image.tree import Tree

OLD, NEW = Names.of("x86_64", "amd64"), Names.of("aarch64", "arm64")
LIB = "usr/lib/{triplet}"

Make = Callable[..., dpkg.Deb]


@pytest.fixture
def deb(tmp_path: Path) -> Make:
    """``deb("tool", NEW, {"usr/bin/tool": "text"}, conffiles=…, multi="same")``."""

    numbers = itertools.count()

    def make(
        name: str, arch: Names | None, files: dict[str, str], *, version: str = "1",
        conffiles: Iterable[str] = (), multi: str = "",
    ) -> dpkg.Deb:  # fmt: skip
        debian = arch.debian if arch else "all"
        tree = tmp_path / f"debs/{next(numbers)}/{name}_{version}_{debian}"
        for path, content in files.items():
            place = tree / path.format(triplet=arch.triplet if arch else "")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
        told = tree / "DEBIAN"
        told.mkdir(parents=True)
        (told / "control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: {debian}\n"
            + (f"Multi-Arch: {multi}\n" if multi else "")
            + "Maintainer: nobody <nobody@localhost>\nDescription: toy\n of two lines\n"
        )
        if conffiles:
            (told / "conffiles").write_text("".join(f"/{path}\n" for path in conffiles))
        (told / "postinst").write_text("#!/bin/sh\n")
        (told / "postinst").chmod(0o755)
        packed = tree.with_name(f"{tree.name}.deb")
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, packed],
                       check=True, capture_output=True)  # fmt: skip
        return dpkg.open_deb(packed)

    return make


@pytest.fixture
def old(tmp_path: Path, deb: Make) -> Tree:
    """A root of amd64 whose packages dpkg has unpacked and configured."""
    root = tmp_path / "root"
    admin = root / dpkg.ADMIN
    (admin / "info").mkdir(parents=True)
    (admin / "updates").mkdir()
    (admin / "status").touch()
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/lib64").mkdir()
    (root / "lib64").symlink_to("usr/lib64")
    deb("libtoy", OLD, {f"{LIB}/toy/libtoy.so": "amd64"}, multi="same")
    deb("libc-bin", OLD, {"bin/ldd": "amd64", "etc/ld/{triplet}": "amd64"},
        conffiles=["etc/ld/x86_64-linux-gnu"])  # fmt: skip
    deb("tool", OLD, {"bin/tool": "amd64", "etc/tool/kept": "1", "etc/tool/changed": "1"},
        conffiles=["etc/tool/kept", "etc/tool/changed"])  # fmt: skip
    deb("docs", None, {"usr/share/docs": "all"})
    debs = [str(path) for path in tmp_path.glob("debs/*/*.deb")]
    subprocess.run(
        ["dpkg", f"--root={root}", "--force-not-root", "--force-script-chrootless",
         "--force-architecture", "--force-bad-path", "--log=/dev/null", "--install", *debs],
        check=True, capture_output=True,
    )  # fmt: skip
    (root / "etc/tool/changed").write_text("2")
    (root / "usr/bin/tool").chmod(0o750)
    (root / f"usr/lib/{OLD.triplet}/cache").write_text("made by a script")
    (admin / "triggers/File").write_text(f"/usr/lib/{OLD.triplet} libtoy:amd64\n")
    tar = tmp_path / "root.tar"
    with tarfile.open(tar, "w") as out:
        out.add(root, ".")
    return Tree.load(tarfile.open(tar))


@pytest.fixture
def new(deb: Make) -> list[dpkg.Deb]:
    return [
        deb("libtoy", NEW, {f"{LIB}/toy/libtoy.so": "arm64"}, multi="same"),
        deb("libc-bin", NEW, {"bin/ldd": "arm64", "etc/ld/{triplet}": "arm64"},
            conffiles=["etc/ld/aarch64-linux-gnu"]),
        deb("tool", NEW, {"bin/tool": "arm64", "etc/tool/kept": "3", "etc/tool/changed": "3"},
            version="1+b1", conffiles=["etc/tool/kept", "etc/tool/changed"]),
        deb("docs", None, {"usr/share/docs": "another build"}),
        deb("kernel", NEW, {"boot/vmlinuz": "arm64", "etc/kernel": "1"}, conffiles=["etc/kernel"]),
    ]  # fmt: skip


def graft(tree: Tree, debs: list[dpkg.Deb]) -> Grafted:
    return Graft(tree, debs, OLD, NEW).run(["tool", "kernel"])


def test_files_are_those_of_the_new_architecture(old: Tree, new: list[dpkg.Deb]) -> None:
    grafted = graft(old, new)
    assert sorted(grafted.replaced) == ["libc-bin", "libtoy", "tool"]
    assert grafted.unpacked == ["kernel"]
    assert old.read("usr/bin/tool") == "arm64"
    assert old.read(f"usr/lib/{NEW.triplet}/toy/libtoy.so") == "arm64"
    assert old.read("boot/vmlinuz") == "arm64"
    assert old.read("usr/share/docs") == "all"
    assert not [path for path in old.nodes if OLD.triplet in path]
    assert grafted.dropped == [f"usr/lib/{OLD.triplet}", f"usr/lib/{OLD.triplet}/cache"]
    assert not {"lib64", "usr/lib64", "bin/tool"} & old.nodes.keys()
    assert old.nodes["usr/bin/tool"].member.mode == 0o750


def test_conffiles_stay_if_somebody_changed_them(old: Tree, new: list[dpkg.Deb]) -> None:
    graft(old, new)
    assert old.read("etc/tool/kept") == "3"
    assert old.read("etc/tool/changed") == "2"
    assert old.read("etc/ld/aarch64-linux-gnu") == "arm64"
    assert old.read("etc/kernel.dpkg-new") == "1"
    assert "etc/kernel" not in old.nodes


def test_dpkg_agrees(old: Tree, new: list[dpkg.Deb], tmp_path: Path) -> None:
    graft(old, new)
    old.save(tmp_path / "new.tar")
    root = tmp_path / "new"
    root.mkdir()
    with tarfile.open(tmp_path / "new.tar") as tar:
        tar.extractall(root, filter="fully_trusted")

    def ask(*arguments: str) -> str:
        command = ["dpkg", f"--root={root}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    states = ask("--list").splitlines()[5:]
    assert {line.split()[1]: line.split()[0] for line in states} == {
        "docs": "ii", "libc-bin:arm64": "it", "libtoy:arm64": "ii", "tool:arm64": "ii",
        "kernel:arm64": "iU",
    }  # fmt: skip
    assert "/bin/tool" in ask("--listfiles", "tool:arm64").splitlines()
    verified = {line.split()[-1] for line in ask("--verify", "tool:arm64", "docs").splitlines()}
    assert verified == {"/etc/tool/changed"}
    script = root / dpkg.ADMIN / "info/tool.postinst"
    assert script.stat().st_mode & 0o777 == 0o755
    assert (root / dpkg.ADMIN / "info/libtoy:arm64.list").exists()
    assert not list((root / dpkg.ADMIN / "info").glob("*amd64*"))
    triggers = (root / dpkg.ADMIN / "triggers/File").read_text()
    assert triggers == f"/usr/lib/{NEW.triplet} libtoy:arm64\n"
    automatic = (root / "var/lib/apt/extended_states").read_text()
    assert "kernel" not in automatic


def test_pythons_compiled_files_fit_their_sources(
    old: Tree, new: list[dpkg.Deb], deb: Make
) -> None:
    """A changed source loses its compiled file; of an equal one the time is changed."""
    code = b"mgc." + bytes(4) + b"\0\0\0\0size" + b"code"
    cached = "usr/bin/__pycache__/{}.cpython-311.pyc"
    for name, text in (("same", b"1"), ("changed", b"1")):
        old.write(f"usr/bin/{name}.py", text)
        listed = f"{dpkg.ADMIN}/info/tool.list"
        old.write(listed, (old.read(listed) + f"/bin/{name}.py\n").encode())
    for name in ("same", "changed", "gone"):
        old.write(cached.format(name), code)
    new[2] = deb("tool", NEW, {"bin/same.py": "1", "bin/changed.py": "2"})
    graft(old, new)
    compiled = old.nodes[cached.format("same")].piece
    assert compiled is not None
    time = int(old.nodes["usr/bin/same.py"].member.mtime)
    assert compiled.read() == code[:8] + time.to_bytes(4, "little") + code[12:]
    assert cached.format("changed") not in old.nodes
    assert cached.format("gone") in old.nodes  # its source was never there


def test_a_package_whose_name_goes_on_after_a_dot_is_another(
    old: Tree, new: list[dpkg.Deb]
) -> None:
    other = f"{dpkg.ADMIN}/info/tool.11.list"
    old.write(other, b"/.\n")
    graft(old, new)
    assert other in old.nodes


def test_a_package_that_nothing_replaces_is_an_error(old: Tree, new: list[dpkg.Deb]) -> None:
    with pytest.raises(TestbedError, match="libtoy: no package of arm64"):
        graft(old, new[1:])


def test_a_diverted_file_stays_with_who_diverted_it(old: Tree, new: list[dpkg.Deb]) -> None:
    old.write(f"{dpkg.ADMIN}/diversions", b"/bin/tool\n/bin/tool.real\nelse\n")
    old.write("usr/bin/tool.real", b"amd64")
    graft(old, new)
    assert old.read("usr/bin/tool.real") == "arm64"
    assert old.read("usr/bin/tool") == "amd64"


def test_diversions_are_those_of_the_new_architecture(old: Tree, new: list[dpkg.Deb]) -> None:
    loader = f"{OLD.loader}\n{OLD.loader}.usr-is-merged\nlibc6\n"
    links = "/lib32\n/.lib32.usr-is-merged\nbase-files\n"
    old.write(f"{dpkg.ADMIN}/diversions", (loader + links).encode())
    graft(old, new)
    lines = old.read(f"{dpkg.ADMIN}/diversions").splitlines()
    assert lines[:3] == [NEW.loader, f"{NEW.loader}.usr-is-merged", "libc6"]
    assert lines[6::3] == ["/lib64", "/libo32", "/libx32"]
    assert len(lines) == 15


def test_a_path_that_another_package_took_stays_its_own(old: Tree, new: list[dpkg.Deb]) -> None:
    listed = f"{dpkg.ADMIN}/info/tool.list"
    old.write(listed, old.read(listed).replace("/bin/tool\n", "").encode())
    listed = f"{dpkg.ADMIN}/info/docs.list"
    old.write(listed, (old.read(listed) + "/bin/tool\n").encode())
    graft(old, new)
    assert old.read("usr/bin/tool") == "amd64"
    assert "/bin/tool\n" not in old.read(f"{dpkg.ADMIN}/info/tool.list")
