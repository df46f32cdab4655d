"""Files that are put into a fetched disk before it is booted."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.image import process
from harness.image.recipe import File
from harness.image.upstream import fixes
from harness.image.upstream.schema import Fix
from tests.unit.image.upstream.conftest import Place, Write, sha
from tests.unit.image.upstream.test_fetch import Get, get

__all__ = ["get"]
AT = 1 << 20
DROP_IN = File("/etc/cloud/cloud.cfg.d/99-nocloud.cfg", "datasource_list: [ NoCloud ]\n")


def root_fs(folder: Path) -> bytes:
    """An ext4 of 8 MiB with an /etc."""
    tree, path = folder / "tree", folder / "ext4"
    (tree / "etc/cloud").mkdir(parents=True)
    (tree / "etc/hostname").write_text("toy\n")
    command = [process.find("mke2fs"), "-q", "-t", "ext4", "-d", tree, path, "8M"]
    subprocess.run([str(word) for word in command], check=True)
    return path.read_bytes()


def mbr(start: int) -> bytes:
    """A partition table whose second entry begins at *start* bytes."""
    entry = bytes(4) + b"\x83" + bytes(3) + (start // 512).to_bytes(4, "little") + bytes(4)
    return bytes(446 + 16) + entry + bytes(32) + b"\x55\xaa"


def gpt(start: int) -> bytes:
    """The same as a GPT, as far as it is read."""
    header = b"EFI PART" + bytes(64) + (2).to_bytes(8, "little")
    header += (128).to_bytes(4, "little") * 2
    entry = b"\x01" * 32 + (start // 512).to_bytes(8, "little")
    return bytes(512) + header.ljust(512, b"\0") + bytes(128) + entry


@pytest.fixture(params=["bare", "mbr", "gpt"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A qcow2 with an ext4 root, in a partition or without."""
    raw, path = tmp_path / "disk.raw", tmp_path / "disk.qcow2"
    table = {"bare": b"", "mbr": mbr(AT), "gpt": gpt(AT)}[request.param]
    raw.write_bytes((table.ljust(AT, b"\0") if table else b"") + root_fs(tmp_path))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], check=True)
    return path


def read(disk: Path, question: str) -> str:
    raw = disk.with_name("look.raw")
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
    (at,) = [at for at in (0, AT) if raw.read_bytes()[at + 1080 : at + 1082] == b"\x53\xef"]
    name = f"{raw}?offset={at}"
    command = [str(process.find("debugfs")), "-R", question, name]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    checked = subprocess.run([str(process.find("e2fsck")), "-fn", name], check=False)
    assert checked.returncode == 0
    return found


def test_files_get_into_the_root(disk: Path, tmp_path: Path) -> None:
    link = File("/etc/localtime", link="/usr/share/zoneinfo/UTC")
    again = File("/etc/hostname", "other\n", mode="0600")
    fixes.apply(disk, (DROP_IN, link, again), tmp_path / "log")
    assert read(disk, f"cat {DROP_IN.path}") == DROP_IN.content
    assert '"/usr/share/zoneinfo/UTC"' in read(disk, "stat /etc/localtime")
    assert read(disk, "cat /etc/hostname") == "other\n"
    told = read(disk, "stat /etc/hostname")
    assert "Type: regular" in told
    assert "Mode:  0600" in told
    assert "User:     0   Group:     0" in told
    assert sorted(path.name for path in tmp_path.glob("fixed*")) == []


def test_a_disk_without_such_a_root_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "4M"], check=True)
    with pytest.raises(UsageError, match="no ext4 root"):
        fixes.apply(path, (DROP_IN,), tmp_path / "log")


def test_a_file_that_does_not_fit_is_noticed(disk: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="could not be written"):
        fixes.apply(disk, (File("/etc/big", "x" * (9 << 20)),), tmp_path / "log")


def test_no_path_becomes_a_command(disk: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written by debugfs"):
        fixes.apply(disk, (File("/etc/a /etc/hostname", "x"),), tmp_path / "log")
    with pytest.raises(ValueError, match="is not that of a file"):
        File("/etc/a\nrm /etc/hostname", "x")


def test_what_belongs_into_the_disk() -> None:
    inside = Fix(why="w", when="before-boot", files=(DROP_IN,))
    later = Fix(why="w", when="first-boot", files=(File("/etc/x", "y"),))
    assert fixes.files((later, inside)) == (DROP_IN,)


def test_a_fetched_disk_is_fixed(
    disk: Path, server: Place, write: Write, get: Get
) -> None:
    data = disk.read_bytes()
    place: dict[str, Any] = {"pinned": {"url": server.serve("/d.qcow2", data), "digest": sha(data)}}
    plain = write(**place)
    told = {"path": DROP_IN.path, "content": DROP_IN.content}
    fix = {"why": "it looks elsewhere", "when": "before-boot", "files": [told]}
    upstream = write(tables={"fixes": {"nocloud": fix}}, fixes=["nocloud"], **place)
    assert upstream.hash() != plain.hash()
    image = get(upstream)
    assert read(image.path, f"cat {DROP_IN.path}") == DROP_IN.content
    assert image.origin is not None
    assert image.origin.digest == sha(data)
    assert image.digest != sha(data)
