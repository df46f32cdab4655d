"""What only programs of the image's own architecture can do: an emulated machine configures what
dpkg has left over, on the disk itself.

The machine is started with the image's own kernel.  Its initramfs holds a static busybox, the
modules of a virtio disk and of ext4, and the script below; there is no network and no service.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import TestbedError
from harness.image import cpio, process
from harness.image.tree import Tree
from harness.matrix import EMULATOR_PACKAGES

BUSYBOX = "busybox-static"  # the package; every recipe has it, containers are made of it
SECONDS = 1200
DONE = "harness: the disk is finished"
_NEEDED = ("virtio_pci", "virtio_blk", "crc32c_generic", "crc32c_arm64", "ext4")
_MODULE = re.compile(r"/(?P<name>[^/]+)\.ko(?P<packed>\.xz)?$")
_KERNEL = "boot/vmlinuz-"

# The first process of the machine.  Where it fails it ends, and the kernel with it.
_INIT = f"""\
#!/busybox sh
set -eu
b=/busybox
$b mkdir -p /dev /root
$b mount -t devtmpfs devtmpfs /dev
for module in $($b cat /modules); do $b insmod /$module; done
$b mount -t ext4 /dev/vda /root
$b mount -t proc proc /root/proc
$b mount -t sysfs sysfs /root/sys
$b mount -t devtmpfs devtmpfs /root/dev
$b mount -t tmpfs tmpfs /root/run
$b chroot /root /bin/sh -eu <<'EOF'
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true
# The machine is known; looking for every module that some machine may need takes minutes.
tools=/etc/initramfs-tools/conf.d/harness modules=/usr/share/initramfs-tools/modules.d/harness
mkdir -p ${{modules%/*}}
echo MODULES=list >$tools
printf '%s\\n' virtio_pci virtio_blk ext4 >$modules
dpkg --log=/dev/null --configure --pending
rm $tools $modules
rm -f /var/cache/ldconfig/aux-cache
EOF
for place in run dev sys proc ''; do $b umount /root/$place; done
echo {DONE}
$b poweroff -f
"""


@dataclass(frozen=True)
class _Machine:
    model: str
    processor: str
    console: str


_MACHINES = {
    # Without what harness.hypervisor.acceleration.unsound takes from guests.
    "x86_64": _Machine("pc", "max,la57=off,cx16=off", "ttyS0"),
    "aarch64": _Machine("virt", "cortex-a72", "ttyAMA0"),
}


@dataclass(frozen=True)
class Boot:
    """What the machine is started with: files in a directory of the build."""

    qemu: str
    arch: str
    kernel: Path
    initramfs: Path


def need(arch: str) -> str:
    """QEMU's name; raises :class:`TestbedError` where it is not installed, or the harness does not
    know how a machine of *arch* is started."""
    if arch not in _MACHINES:
        raise TestbedError(f"the harness does not know machines of {arch}, and builds no image for"
                           " them", hint="docs/adding-a-distro.md")  # fmt: skip
    qemu = f"qemu-system-{arch}"
    if process.find(qemu) is None:
        package = EMULATOR_PACKAGES.get(arch, qemu)
        raise TestbedError(f"{qemu} is not installed, and building an image for {arch} needs it",
                           hint="install it", command=f"apt-get install {package}")  # fmt: skip
    return qemu


def prepare(tree: Tree, arch: str, where: Path) -> Boot:
    """Take kernel, modules and busybox out of *tree*."""
    (kernel,) = (path for path in tree.nodes if path.startswith(_KERNEL))
    boot = Boot(need(arch), arch, where / "finish.kernel", where / "finish.initramfs")
    boot.kernel.write_bytes(_content(tree, kernel))
    modules = dict(_modules(tree, kernel.removeprefix(_KERNEL)))
    cpio.write(boot.initramfs, [
        ("init", 0o755, _INIT.encode()),
        ("busybox", 0o755, _content(tree, tree.physical("bin/busybox"))),
        ("modules", 0o644, "\n".join(modules).encode()),
        *((name, 0o644, content) for name, content in modules.items()),
    ])  # fmt: skip
    return boot


def _modules(tree: Tree, version: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents, in the order in which they can be loaded.  What is not there is built
    into the kernel, or into no kernel of this architecture."""
    files = {}
    for path in tree.below(tree.physical(f"lib/modules/{version}")):
        if match := _MODULE.search(path):
            files[match["name"].replace("-", "_")] = path, match["packed"]
    done: set[str] = set()

    def load(name: str) -> Iterator[tuple[str, bytes]]:
        if name in done or name not in files:
            return
        done.add(name)
        path, packed = files[name]
        content = _content(tree, path)
        content = lzma.decompress(content) if packed else content
        if match := re.search(rb"\0depends=([^\0]*)\0", content):
            for other in match[1].decode().split(","):
                yield from load(other.replace("-", "_"))
        yield name, content

    for name in _NEEDED:
        yield from load(name)


def _content(tree: Tree, path: str) -> bytes:
    node = tree.nodes.get(path)
    if node is None or node.piece is None:
        raise TestbedError(f"the root has no file /{path}")
    return node.piece.read()


def run(boot: Boot, disk: Path, log: Path) -> None:
    """Finish the raw *disk*."""
    machine = _MACHINES[boot.arch]
    file = str(disk).replace(",", ",,")  # one by itself ends the name, to QEMU
    process.run([
        "timeout", "--foreground", "--kill-after=10", str(SECONDS),
        boot.qemu, "-machine", machine.model, "-cpu", machine.processor, "-smp", "2",
        "-accel", "tcg,thread=multi", "-m", "1024", "-nodefaults", "-no-user-config",
        "-display", "none", "-serial", "stdio", "-no-reboot",
        "-kernel", str(boot.kernel), "-initrd", str(boot.initramfs),
        "-append", f"console={machine.console} panic=-1 loglevel=4",
        "-drive", f"file={file},format=raw,if=none,id=root,cache=unsafe,discard=unmap",
        "-device", "virtio-blk-pci,drive=root",
    ], log)  # fmt: skip
    if DONE not in process.tail(log, 40):
        raise TestbedError("the packages could not be configured in an emulated machine",
                           detail=process.tail(log))
    boot.kernel.unlink()
    boot.initramfs.unlink()
