"""A built image as the disk that a distro would ship: partitions, and boot loaders for UEFI and,
on x86_64, BIOS.  No root, no mount, no loop device: every part is made as a file of its own, then
copied to its place.

    protective MBR (syslinux' gptmbr.bin) | GPT | ESP: FAT32 | root: the image's own ext4

The ESP holds the kernel, the initrd, systemd-boot for UEFI and syslinux for BIOS.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.errors import TestbedError, UsageError
from harness.image import process, taking
from harness.image.model import Image

Progress = Callable[[str], None]

FORMATS = ("qcow2", "raw")
# What systemd calls an architecture; UEFI does too, in capitals.
ARCHES = {"x86_64": "x64", "aarch64": "aa64"}
BIOS = "x86_64"  # the one architecture that has it
SYSTEMD_BOOT = Path("/usr/lib/systemd/boot/efi")
LOADER = "systemd-boot-efi"  # its package, which has the loader of its own architecture alone
GPT_MBR = Path("/usr/lib/syslinux/mbr/gptmbr.bin")
PACKAGES = {  # Debian's, by what is needed of them
    "sgdisk": "gdisk",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
}
PACKAGES_BIOS = {
    "syslinux": "syslinux",
    str(GPT_MBR): "syslinux-common",
}
SECTOR = 512
_MIB = 1 << 20
ESP_AT, ESP_SIZE = _MIB, 256 * _MIB  # FAT32 wants more than 32 MiB, four kernels want more still
ROOT_AT = ESP_AT + ESP_SIZE
GPT_END = _MIB  # the second table is at the end


def loader(arch: str) -> Path:
    """Where this machine has the loader for UEFI, if it has it."""
    return SYSTEMD_BOOT / f"systemd-boot{ARCHES[arch]}.efi"


def missing(arch: str) -> list[str]:
    """Debian's packages that have to be installed before a disk can be made."""
    needed = PACKAGES | (PACKAGES_BIOS if arch == BIOS else {})
    needed |= {str(loader(arch)): LOADER} if arch == platform.machine() else {}
    lacking = {
        package for name, package in needed.items()
        if not (Path(name).exists() if name.startswith("/") else process.find(name))
    }  # fmt: skip
    return sorted(lacking)


def check(cell: str) -> None:
    """Raise :class:`UsageError` for a *cell* of an architecture whose loaders are not at hand, and
    :class:`TestbedError` where tools are missing: what can be said before an image is built."""
    arch = cell.partition("/")[2]
    if arch not in ARCHES:
        raise UsageError(f"{cell}: boot loaders are put in for {', '.join(ARCHES)} alone")
    if lacking := missing(arch):
        raise TestbedError(
            f"a disk with boot loaders needs {', '.join(lacking)}", hint="as root:",
            command=f"apt-get install {' '.join(lacking)}",
        )  # fmt: skip


def export(image: Image, output: Path, form: str, progress: Progress) -> None:
    """Write *image*, a built one, to *output* as a disk with partitions and boot loaders.

    Raises :class:`UsageError` for an image that has boot loaders already, :class:`TestbedError`
    where tools fail, and what :func:`check` does.
    """
    if image.kernel is None or image.initrd is None:
        raise UsageError(f"{image.cell}: an upstream image is such a disk already: {image.path}")
    check(image.cell)
    arch = image.cell.partition("/")[2]
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=output.parent) as made:
        where = Path(made)
        log = where / "log"
        progress(f"{image.cell}: unpacking the root file system")
        _convert(image.path, "qcow2", where / "root", "raw", log)
        progress(f"{image.cell}: partitions and boot loaders")
        if not (uefi := loader(arch)).exists():
            uefi = _fetch(image.cell, arch, where, log)
        _esp(image, image.kernel, image.initrd, uefi, where / "esp", log)
        _disk(where, arch, log)
        if form == "raw":
            (where / "disk").rename(output)
        else:
            progress(f"{image.cell}: writing {output.name}")
            _convert(where / "disk", "raw", where / "packed", form, log)
            (where / "packed").rename(output)


def _convert(source: Path, kind: str, target: Path, form: str, log: Path) -> None:
    process.run(["qemu-img", "convert", "-f", kind, "-O", form, str(source), str(target)], log)


def _fetch(cell: str, arch: str, where: Path, log: Path) -> Path:
    """The loader of another architecture, from the packages of the image's own release."""
    found = where / "loader.efi"
    taking.take(cell.partition("/")[0], arch, LOADER, str(loader(arch)), found, log)
    return found


def _esp(image: Image, kernel: Path, initrd: Path, uefi: Path, esp: Path, log: Path) -> None:
    arch = image.cell.partition("/")[2]
    files = {
        "loader/loader.conf": "timeout 0\ndefault linux.conf\n",
        "loader/entries/linux.conf":
            f"title {image.cell}\nlinux /vmlinuz\ninitrd /initrd.img\noptions {image.cmdline}\n",
    }  # fmt: skip
    if arch == BIOS:
        files["syslinux/syslinux.cfg"] = (
            "serial 0 115200\ndefault linux\nprompt 0\nlabel linux\n"
            f"  kernel /vmlinuz\n  initrd /initrd.img\n  append {image.cmdline}\n"
        )
    tree = esp.with_name("tree")
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "EFI/BOOT").mkdir(parents=True)
    shutil.copyfile(uefi, tree / f"EFI/BOOT/BOOT{ARCHES[arch].upper()}.EFI")
    shutil.copyfile(kernel, tree / "vmlinuz")
    shutil.copyfile(initrd, tree / "initrd.img")
    with esp.open("wb") as file:
        file.truncate(ESP_SIZE)
    # The loader of BIOS asks the file system where on the disk it is (hidden sectors).
    hidden = str(ESP_AT // SECTOR)
    process.run(["mkfs.vfat", "-F", "32", "-n", "ESP", "-h", hidden, str(esp)], log)
    process.run(["mcopy", "-s", "-i", str(esp), *map(str, sorted(tree.iterdir())), "::/"], log)
    if arch == BIOS:
        process.run(["syslinux", "--install", "--directory", "syslinux", str(esp)], log)


def _disk(where: Path, arch: str, log: Path) -> None:
    disk, root = where / "disk", where / "root"
    with disk.open("wb") as file:
        file.truncate(ROOT_AT + root.stat().st_size + GPT_END)
    ends = [ESP_AT, ROOT_AT - SECTOR, ROOT_AT, ROOT_AT + root.stat().st_size - SECTOR]
    esp_first, esp_last, root_first, root_last = (end // SECTOR for end in ends)
    process.run([
        "sgdisk",
        f"--new=1:{esp_first}:{esp_last}", "--typecode=1:ef00", "--change-name=1:esp",
        "--attributes=1:set:2",  # what gptmbr.bin looks for: "legacy BIOS bootable"
        f"--new=2:{root_first}:{root_last}", "--typecode=2:8304", "--change-name=2:root",
        str(disk),
    ], log)  # fmt: skip
    if arch == BIOS:
        with disk.open("r+b") as file:
            file.write(GPT_MBR.read_bytes())
    splice(where / "esp", disk, ESP_AT)
    splice(root, disk, ROOT_AT)
    root.unlink()


def splice(source: Path, target: Path, offset: int) -> None:
    """Copy what *source* holds into *target* at *offset* bytes; holes stay holes."""
    size = source.stat().st_size
    with source.open("rb") as read, target.open("r+b") as write:
        start = 0
        while start < size:
            try:
                start = os.lseek(read.fileno(), start, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole is left
                return
            end = os.lseek(read.fileno(), start, os.SEEK_HOLE)
            read.seek(start)
            write.seek(offset + start)
            while start < end:
                data = read.read(min(end - start, 4 * _MIB))
                write.write(data)
                start += len(data)
