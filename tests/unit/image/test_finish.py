"""The emulated machine that finishes an image of another architecture: what it is given."""

from __future__ import annotations

import lzma
import subprocess
from pathlib import Path

import pytest

from harness.errors import TestbedError, UsageError
from harness.image import finish, foreign, process
from harness.image import recipe as recipes
from harness.image.tree import Tree
from tests.unit.image.test_cpio import read


def module(*depends: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0name=x\0"


@pytest.fixture
def tree() -> Tree:
    tree = Tree()
    tree.write("boot/vmlinuz-6.1", b"kernel")
    tree.write("bin/busybox", b"busybox")
    tree.write("lib/modules/6.1/kernel/fs/ext4.ko", module("jbd2", "crc16"))
    tree.write("lib/modules/6.1/kernel/fs/jbd2.ko", module("crc16"))
    tree.write("lib/modules/6.1/kernel/lib/crc16.ko.xz", lzma.compress(module("")))
    tree.write("lib/modules/6.1/kernel/virtio-blk.ko", module("virtio"))
    tree.write("lib/modules/6.1/kernel/other.ko", module())
    return tree


def test_without_the_emulator_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find", lambda tool: None)
    with pytest.raises(TestbedError) as caught:
        finish.need("aarch64")
    assert caught.value.what.startswith("qemu-system-aarch64 is not installed")
    assert caught.value.command == "apt-get install qemu-system-arm"


def test_a_recipe_without_busybox_is_refused(tmp_path: Path) -> None:
    recipe = recipes.load("debian-12")
    packages = recipes.Packages(("dash",))
    poor = recipes.Recipe("toy", "1", "toy", 1, recipe.arch, packages)
    if not process.find("qemu-system-aarch64"):
        pytest.skip("needs the package qemu-system-arm")
    with pytest.raises(UsageError, match="does not include busybox-static"):
        foreign.root(poor, "aarch64", tmp_path / "root.tar", None, tmp_path / "log", print)


def test_modules_are_loaded_after_those_that_they_need(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "need", lambda arch: "qemu")
    boot = finish.prepare(tree, "aarch64", tmp_path)
    assert boot.kernel.read_bytes() == b"kernel"
    files = read(boot.initramfs.read_bytes())
    assert files["modules"][1].split() == [b"virtio_blk", b"crc16", b"jbd2", b"ext4"]
    assert files["crc16"][1] == module("")
    assert files["busybox"][1] == b"busybox"
    assert files["init"][0] & 0o111


def test_the_first_process_is_a_shell_script() -> None:
    subprocess.run(["sh", "-n"], input=finish._INIT, text=True, check=True)


def test_a_root_without_busybox_is_told(tree: Tree, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(finish, "need", lambda arch: "qemu")
    del tree.nodes["bin/busybox"]
    with pytest.raises(TestbedError, match="no file /bin/busybox"):
        finish.prepare(tree, "aarch64", tmp_path)
