"""A root in a tar: read, changed and written."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.image.tree import XATTR, Node, Tree, same_owner

CAPABILITY = b"\x01\x00\x00\x02\x00\xff\x00\x80".decode("utf-8", "surrogateescape")


def add(tar: tarfile.TarFile, name: str, content: bytes | None = b"", **fields: Any) -> None:
    member = tarfile.TarInfo(name)
    if content is None:
        member.type, member.mode = tarfile.DIRTYPE, 0o755
    for key, value in fields.items():
        setattr(member, key, value)
    member.size = len(content or b"")
    tar.addfile(member, io.BytesIO(content or b""))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, ".", None)
        add(tar, "./bin", type=tarfile.SYMTYPE, linkname="usr/bin")
        add(tar, "./usr", None)
        add(tar, "./usr/bin", None)
        add(tar, "./usr/bin/ping", b"ping", mode=0o4755, uid=7,
            pax_headers={f"{XATTR}security.capability": CAPABILITY})  # fmt: skip
        add(tar, "./usr/bin/perl", b"perl", mode=0o755)
        add(tar, "./usr/bin/perl5", type=tarfile.LNKTYPE, linkname="./usr/bin/perl")
        add(tar, "./usr/absolute", type=tarfile.SYMTYPE, linkname="/usr/bin")
        add(tar, "./usr/loop", type=tarfile.SYMTYPE, linkname="loop")
        add(tar, "./dev", None)
        add(tar, "./dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
    return Tree.load(tarfile.open(path))


def test_what_is_saved_is_what_was_loaded(tree: Tree, tmp_path: Path) -> None:
    tree.write("etc/new", "ä".encode())
    tree.write("usr/bin/ping", b"longer than before")
    tree.save(tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as tar:
        assert tar.getnames()[0] == "."
        ping = tar.getmember("./usr/bin/ping")
        assert (ping.mode, ping.uid, ping.size) == (0o4755, 7, 18)
        assert ping.pax_headers[f"{XATTR}security.capability"] == CAPABILITY
        perl = tar.getmember("./usr/bin/perl5")
        assert (perl.type, perl.linkname) == (tarfile.LNKTYPE, "./usr/bin/perl")
        null = tar.getmember("./dev/null")
        assert (null.type, null.devmajor, null.devminor) == (tarfile.CHRTYPE, 1, 3)
        assert tar.getmember("./bin").linkname == "usr/bin"


def test_a_hard_link_outlives_its_first_name(tree: Tree, tmp_path: Path) -> None:
    del tree.nodes["usr/bin/perl"]
    tree.save(tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as tar:
        content = tar.extractfile("./usr/bin/perl5")
        assert content is not None
        assert content.read() == b"perl"


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("bin/ping", "usr/bin/ping"),
        ("bin", "bin"),
        ("usr/absolute/../bin/x", "usr/bin/x"),
        ("usr/absolute/x", "usr/bin/x"),
        ("new/x", "new/x"),
        ("", ""),
    ],
)
def test_links_in_directories_are_followed(tree: Tree, path: str, where: str) -> None:
    assert tree.physical(path) == where


def test_a_link_itself_can_be_followed(tree: Tree) -> None:
    assert tree.final("usr/absolute") == tree.final("bin") == "usr/bin"
    assert tree.final("nothing") == "nothing"


def test_a_circle_of_links_ends(tree: Tree) -> None:
    assert tree.physical("usr/loop/x").endswith("x")


def test_only_empty_directories_are_removed(tree: Tree) -> None:
    for name in ("ping", "perl", "perl5"):
        del tree.nodes[f"usr/bin/{name}"]
    tree.remove_empty(["dev", "usr", "usr/bin", "bin"])
    assert "usr/bin" not in tree.nodes
    assert {"usr", "dev", "bin"} <= tree.nodes.keys()


def test_a_file_takes_the_owner_of_another(tree: Tree) -> None:
    member = same_owner(tarfile.TarInfo("x"), tree.nodes["usr/bin/ping"].member)
    tree.nodes["x"] = Node(member, tree.nodes["usr/bin/perl"].piece)
    assert (member.mode, member.uid) == (0o4755, 7)
    assert list(member.pax_headers.values()) == [CAPABILITY]
    assert tree.read("x") == "perl"
    assert tree.read("nothing") == ""
