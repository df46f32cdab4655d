"""A disk with boot loaders, put together and taken apart again."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest

from harness.errors import TestbedError, UsageError
from harness.image import bootable
from harness.image.model import Image

LACKING = bootable.missing("x86_64")
made = pytest.mark.skipif(bool(LACKING), reason=f"needs the packages {', '.join(LACKING)}")


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """A built image of 8 MiB, with something at its beginning and its end."""
    raw, folder = tmp_path / "raw", tmp_path / "image"
    folder.mkdir()
    with raw.open("wb") as file:
        file.write(b"first")
        file.seek((8 << 20) - 4)
        file.write(b"last")
    disk = folder / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, disk], check=True)
    (folder / "vmlinuz").write_bytes(b"kernel")
    (folder / "initrd.img").write_bytes(b"initrd")
    return Image(
        cell="toy-1/x86_64", path=disk, kernel=folder / "vmlinuz", initrd=folder / "initrd.img",
        cmdline="root=LABEL=root", digest="", source="built", recipe_hash="", packages={},
        built_at="",
    )  # fmt: skip


def esp(disk: Path, *names: str) -> bytes:
    """The contents of a file on the ESP."""
    at = f"{disk}@@{bootable.ESP_AT}"
    return subprocess.run(["mtype", "-i", at, *names], check=True, capture_output=True).stdout


@made
def test_a_disk_has_both_boot_loaders_and_the_root(image: Image, tmp_path: Path) -> None:
    disk = tmp_path / "out" / "disk.raw"
    bootable.export(image, disk, "raw", lambda _: None)
    assert [path.name for path in disk.parent.iterdir()] == ["disk.raw"]
    data = disk.read_bytes()
    assert data[: len(bootable.GPT_MBR.read_bytes())] == bootable.GPT_MBR.read_bytes()
    assert data[510:512] == b"\x55\xaa"
    assert data[512:520] == b"EFI PART"
    root = data[bootable.ROOT_AT :][: 8 << 20]
    assert root[:5] == b"first"
    assert root[-4:] == b"last"
    assert data[bootable.ESP_AT :][3:11] == b"SYSLINUX"
    assert int.from_bytes(data[bootable.ESP_AT :][28:32], "little") == bootable.ESP_AT // 512
    assert esp(disk, "::/vmlinuz") == b"kernel"
    assert esp(disk, "::/EFI/BOOT/BOOTX64.EFI") == bootable.loader("x86_64").read_bytes()
    assert b"append root=LABEL=root" in esp(disk, "::/syslinux/syslinux.cfg")
    assert b"options root=LABEL=root" in esp(disk, "::/loader/entries/linux.conf")
    verified = subprocess.run(["sgdisk", "-v", disk], check=True, capture_output=True, text=True)
    assert "No problems found" in verified.stdout


@made
def test_a_disk_of_aarch64_has_one_boot_loader(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "systemd-bootaa64.efi").write_bytes(b"loader")
    monkeypatch.setattr(bootable, "SYSTEMD_BOOT", tmp_path)
    disk = tmp_path / "disk.raw"
    bootable.export(dataclasses.replace(image, cell="toy-1/aarch64"), disk, "raw", lambda _: None)
    assert esp(disk, "::/EFI/BOOT/BOOTAA64.EFI") == b"loader"
    assert b"options root=LABEL=root" in esp(disk, "::/loader/entries/linux.conf")
    data = disk.read_bytes()
    assert not any(data[:440])
    assert data[bootable.ESP_AT :][3:11] != b"SYSLINUX"


@made
def test_the_formats(image: Image, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    bootable.export(image, disk, "qcow2", lambda _: None)
    info = subprocess.run(
        ["qemu-img", "info", "--output=json", disk], check=True, capture_output=True
    )
    assert json.loads(info.stdout)["format"] == "qcow2"


def test_missing_tools_are_named(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootable, "PACKAGES", {"no-such-tool": "p", "/no/such/file": "q"})
    # Whether this machine has the loaders is not asked here.
    monkeypatch.setattr(bootable, "PACKAGES_BIOS", {})
    monkeypatch.setattr(bootable, "loader", lambda arch: Path("/"))
    with pytest.raises(TestbedError, match="needs p, q") as caught:
        bootable.export(image, tmp_path / "disk", "raw", lambda _: None)
    assert caught.value.command == "apt-get install p q"


def test_what_has_a_loader_or_can_have_none_is_refused(image: Image, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="already"):
        bootable.export(dataclasses.replace(image, kernel=None), tmp_path / "d", "raw", print)
    other = dataclasses.replace(image, cell="toy-1/s390x")
    with pytest.raises(UsageError, match="x86_64, aarch64 alone"):
        bootable.export(other, tmp_path / "d", "raw", print)


def test_holes_stay_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"x" * 4096)
    with target.open("wb") as file:
        file.truncate(128 << 20)
    bootable.splice(source, target, 1 << 20)
    data = target.read_bytes()
    assert data.count(b"x") == 4096
    assert data[33 << 20 :][:4096] == b"x" * 4096
    assert target.stat().st_blocks * 512 < 1 << 20
