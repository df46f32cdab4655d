"""What ``harness doctor`` looks at.  Nothing here may need what it checks to be there."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.commands.common import EMBED, size_of
from harness.commands.image import size
from harness.distros import registry
from harness.errors import HarnessError, TestbedError
from harness.hypervisor import acceleration, firmware
from harness.hypervisor.leases import Leases
from harness.image import store
from harness.image.store import NEEDED_MIB, list_images
from harness.matrix import ARCHES, EMULATOR_PACKAGES
from harness.paths import Cache

OK, WARN, FAIL = "ok", "warn", "fail"
BOOTSTRAP = "make bootstrap"
PYTHON = (3, 11)
COMFORT_GIB = 10  # an image, its states and a few guests
GUEST_MIB = 2048
BUILD_TOOLS = ("mmdebstrap", "mke2fs", "debugfs", "fakeroot", "setpriv")


@dataclass(frozen=True)
class Check:
    """One line of the table."""

    status: str
    name: str
    found: str
    next_step: str = ""


def all_checks(place: Cache, uri: str) -> Iterator[Check]:
    yield python()
    for arch in ARCHES:
        yield from qemu(arch)
    yield from libvirt_user()
    if broken := unusable(place):  # all that follows looks there
        yield broken
        return
    yield libvirt(uri, place)
    yield accelerator(place)
    yield from uefi()
    yield from tools(place)
    yield from user()
    yield memory()
    yield space(place)
    yield guests(place)
    yield contents(place)


def python() -> Check:
    found = platform.python_version()
    if sys.version_info < PYTHON:
        return Check(FAIL, "Python", f"{found}; 3.11 or newer is needed", BOOTSTRAP)
    return Check(OK, "Python", found)


def qemu(arch: str) -> Iterator[Check]:
    """Only of architectures for which cells exist at all."""
    possible = [d for d in registry.all_distros() if arch in d.arches]
    ready = [d for d in possible if d.recipe and arch in d.recipe_arches]
    if not possible:
        return
    name = f"qemu-system-{arch}"
    if arch not in EMULATOR_PACKAGES:
        yield Check(WARN, name, acceleration.obstacle(arch), "docs/adding-a-distro.md")
    elif shutil.which(name):
        yield Check(OK, name, _version([name, "--version"]))
    elif not ready:
        yield Check(OK, name, "not installed, and no cell needs it yet")
    elif arch == platform.machine():
        yield Check(FAIL, name, "not installed", BOOTSTRAP)
    else:
        cells = ", ".join(f"{d.id}/{arch}" for d in ready)
        yield Check(WARN, name, f"not installed: {cells} cannot boot",
                    f"apt-get install {EMULATOR_PACKAGES[arch]}")  # fmt: skip


def libvirt_user() -> Iterator[Check]:
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam("libvirt-qemu")
    except KeyError:
        yield Check(FAIL, "libvirt-qemu", "no such user; libvirt does not start as root without it",
                    BOOTSTRAP)  # fmt: skip
        return
    yield Check(OK, "libvirt-qemu", f"user {entry.pw_uid}")


def libvirt(uri: str, place: Cache) -> Check:
    try:
        from harness.hypervisor.connection import connect

        versions = connect(uri, capabilities_cache=place.root / "libvirt").versions()
    except ImportError as error:
        return Check(FAIL, "libvirt", f"its library does not load: {error}", BOOTSTRAP)
    except HarnessError as error:
        step = BOOTSTRAP if uri == EMBED else error.hint
        return Check(FAIL, "libvirt", error.what, step)
    return Check(OK, "libvirt", f"{versions['libvirt']}; {uri} opens, with QEMU {versions['qemu']}")


def accelerator(place: Cache) -> Check:
    arch = platform.machine()
    try:
        chosen = acceleration.decide(arch, kernel=store.kernel(place.images, arch))
    except HarnessError as error:
        return Check(FAIL, "acceleration", error.what, error.hint)
    found = f"{chosen.kind}: {chosen.reason}"
    if chosen.kind == "kvm":
        return Check(OK, "acceleration", found)
    step = "a host whose KVM works"
    if acceleration.kvm_denied():
        step = f"usermod -aG kvm {_name(os.geteuid())}, and a new login"
    return Check(WARN, "acceleration", f"{found}; guests run, at about a tenth of the speed", step)


def uefi() -> Iterator[Check]:
    """Only disks with a boot loader of their own may need it: the distros' images."""
    for arch, package in firmware.PACKAGES.items():
        if shutil.which(f"qemu-system-{arch}") is None:
            continue
        found = firmware.uefi(arch)
        name = f"UEFI, {arch}"
        if found:
            yield Check(OK, name, str(found.code))
        else:
            yield Check(WARN, name, "not installed: upstream images that need it do not boot",
                        f"apt-get install {package}")  # fmt: skip


def tools(place: Cache) -> Iterator[Check]:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    cached = bool(list_images(place.images))
    yield _tool("qemu-img", path, FAIL, "guests get no disks")
    for name in BUILD_TOOLS:
        yield _tool(name, path, WARN if cached else FAIL, "no image can be built")
    yield _tool("ssh", path, WARN, "harness shell does not work")


def _tool(name: str, path: str, status: str, effect: str) -> Check:
    found = shutil.which(name, path=path)
    return Check(OK, name, found) if found else Check(status, name, f"not installed: {effect}",
                                                      BOOTSTRAP)  # fmt: skip


def user(
    subuid: Path = Path("/etc/subuid"), uid: int | None = None, name: str | None = None
) -> Iterator[Check]:
    """Only an ordinary user needs subordinate ids, to build images."""
    uid = os.geteuid() if uid is None else uid
    if uid == 0:
        yield Check(OK, "user", "root")
        return
    name = name or _name(uid)
    try:
        lines = subuid.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    fields = [line.split(":") for line in lines]
    counts = [int(one[2]) for one in fields
              if one[0] in (name, str(uid)) and len(one) == 3 and one[2].isdecimal()]  # fmt: skip
    if sum(counts) < 65_536:
        step = f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
        yield Check(FAIL, "user", f"{name} has {sum(counts)} subordinate ids; building images "
                    "needs 65536", step)  # fmt: skip
    else:
        yield Check(OK, "user", f"{name}, with {sum(counts)} subordinate ids")
    if shutil.which("newuidmap") is None:
        yield Check(FAIL, "newuidmap", "not installed: no image can be built", BOOTSTRAP)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def memory() -> Check:
    free = psutil.virtual_memory().available >> 20
    fit = free // GUEST_MIB
    found = f"{size_of(free << 20)} available: room for {fit} guests of {GUEST_MIB >> 10} GiB"
    if fit == 0:
        return Check(WARN, "memory", found, "close something, or expect swapping")
    return Check(OK, "memory", found)


def unusable(place: Cache) -> Check | None:
    """The line of a cache in which nothing can be kept, or None."""
    try:
        parts = (place.images, place.states, place.twins, place.leases)
    except TestbedError as error:
        why = error.what
    else:
        if all(os.access(part, os.W_OK) for part in parts):
            return None
        why = f"{place.root} cannot be written to"
    return Check(FAIL, "cache", why, "choose another with $ROOTLESS_HARNESS_CACHE")


def space(place: Cache) -> Check:
    free = shutil.disk_usage(place.images).free
    found = f"{size_of(free)} free in {place.root}"
    if free >> 20 < NEEDED_MIB:
        return Check(FAIL, "cache", f"{found}; an image needs {NEEDED_MIB} MiB",
                     "harness cache clear --states")  # fmt: skip
    if free >> 30 < COMFORT_GIB:
        return Check(WARN, "cache", found, "harness cache evict --max-size 5")
    return Check(OK, "cache", found)


def guests(place: Cache) -> Check:
    leases = Leases(place.leases).all()
    kept = sum(lease.kept for lease in leases)
    orphans = sum(not lease.kept and not lease.owner_alive for lease in leases)
    live = len(leases) - kept - orphans
    found = f"{live} in use, {kept} kept, {orphans} left behind"
    if orphans:
        return Check(WARN, "guests", found, "harness cache reap")
    return Check(OK, "guests", found, "harness cache reap --kept" if kept else "")


def contents(place: Cache) -> Check:
    images = list_images(place.images)
    states = [path for path in place.states.glob("[!.]*") if path.is_dir()]
    disks = sum(size(image.folder) for image in images)
    saved = sum(size(path) for path in states)
    return Check(OK, "cached", f"images: {len(images)} ({size_of(disks)}), saved states: "
                               f"{len(states)} ({size_of(saved)})")  # fmt: skip


def _version(command: list[str]) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return f"does not start: {error}"
    return said.stdout.split("\n")[0].removeprefix("QEMU emulator version ")
