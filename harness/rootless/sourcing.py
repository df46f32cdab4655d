"""The image of a cell: the distro's own if it was fetched and can boot here, else a built one.
A cell that says it is a twin gets its base's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness import packages
from harness.distros.base import Distro
from harness.errors import GuestRefusal, HarnessError, TestbedError, UsageError
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout
from harness.hypervisor import acceleration, firmware
from harness.image import recipe as recipes
from harness.image import store, taking
from harness.image.choose import Standing, choose
from harness.image.model import Image
from harness.image.upstream import catalogue
from harness.image.upstream.catalogue import Upstream
from harness.image.upstream.fetch import cached
from harness.image.upstream.schema import Fix
from harness.matrix import Cell
from harness.packages import PackageManager
from harness.rootless import twins

# Whether busybox runs in a root that has nothing else: in a container.
BUSYBOX_ALONE = """
alone=$(mktemp -d)
cp "$(command -v busybox)" "$alone/busybox" &&
    PATH=$PATH:/usr/sbin chroot "$alone" /busybox --list > /dev/null
status=$?
rm -rf "$alone"
exit $status
"""
BUSES = ("virtio", "sata")  # those that a machine can be given


def image(
    cell: Cell, distro: Distro, cache: Path, wanted: str, kernel_arguments: str,
    progress: Callable[[str], None],
) -> Image:  # fmt: skip
    """The image that *cell* boots from, every byte of it verified; built where it has to be.

    *wanted* is a word of :data:`harness.image.choose.CHOICES`, *kernel_arguments* what the run
    and the cell's mode add.  Raises :class:`UsageError` where there is no such image.
    """
    if cell.twin:
        return twins.image(distro, cell.arch, cache, progress)
    entry = catalogue.entry(base(cell))
    built = Standing("missing", distro.unreachable)
    if cell.arch in distro.recipe_arches:
        built = Standing("ready", "built from the distro's packages")
    choice = choose(wanted, {
        "upstream": upstream(cell, entry, cache, kernel_arguments),
        "built": built,
    })  # fmt: skip
    if choice.source == "upstream" and entry:
        found = cached(entry, cache)
        if found:
            store.verify(found)
            return found
    if choice.source != "built":
        raise UsageError(f"{cell} has no such image: {choice.reason}", command="harness matrix")
    recipe = recipes.load(distro.recipe)
    return store.ensure(recipe, cell.arch, cache, progress, verify=True)


def settle(
    guest: Guest, image: Image, manager: str, cache: Path, progress: Callable[[str], None],
    log: Callable[[str], None],
) -> None:  # fmt: skip
    """Give a guest of an upstream image, just booted, what the catalogue says that it needs, a
    static busybox, which is kept in *cache*, and the package lists, which such an image is shipped
    without.

    Raises :class:`TestbedError` where it cannot be given that: nothing was asked of the distro,
    and a state without the lists would tell it as a refusal ever after.
    """
    if image.source != "upstream":
        return
    try:
        for one in image.fixes:
            log(f"# {one.why}")
            _fix(guest, one, packages.manager(manager, guest.root), log)
        _bring_busybox(guest, image, cache, progress)
    except (GuestRefusal, CommandTimeout) as error:
        raise TestbedError(
            f"{guest.cell}: the guest could not be given what its image lacks: {error.what}",
            hint=f"look at the fixes of {image.cell} in {catalogue.folder()}, and at the guest's"
                 " network", detail=error.detail,
        ) from error  # fmt: skip
    try:
        log(packages.manager(manager, guest.root).refresh())
    except GuestRefusal as refusal:  # what then cannot be installed says so
        log(f"the package lists could not be fetched: {refusal.what}\n{refusal.detail}")


def _fix(guest: Guest, one: Fix, tool: PackageManager, log: Callable[[str], None]) -> None:
    for file in one.files:
        if file.link:
            guest.root.run("ln", "-sfn", file.link, file.path)
        else:
            guest.root.write(file.path, file.content, int(file.mode, 8))
    for command in one.commands:
        # The catalogue's own line for a shell, as the hints of a distro are.
        log(tool.shell(command))
    if one.reboot:
        guest.reboot()


def _bring_busybox(
    guest: Guest, image: Image, cache: Path, progress: Callable[[str], None]
) -> None:
    """Scenarios make a container image of it.  Where there is a dynamic one it takes its place,
    as nobody knows what else is in the PATH of a user."""
    if guest.root.sh(BUSYBOX_ALONE, check=False).ok:
        return
    ours = taking.busybox(image.cell.partition("/")[2], cache, progress)
    there = guest.user.sh("command -v busybox", check=False).stdout.strip()
    guest.root.write(there or "/usr/bin/busybox", ours.read_bytes(), 0o755)
    guest.root.sh(BUSYBOX_ALONE)


def base(cell: Cell) -> str:
    """The cell as the catalogue names it: without mode and engine."""
    return f"{cell.distro}-{cell.release}/{cell.arch}"


def upstream(
    cell: Cell, entry: Upstream | None, cache: Path, kernel_arguments: str
) -> Standing:
    """What there is of the distro's own image of *cell*, and whether it can boot here."""
    if entry is None:
        return Standing("missing", "not in the catalogue")
    if entry.fetchable:
        return Standing("missing", entry.fetchable)
    found = cached(entry, cache)
    if why := obstacle(entry, kernel_arguments):
        return Standing("missing", f"fetched, but {why}" if found else f"not fetched: {why}")
    if found is None:
        return Standing("fetchable", f"not fetched (harness image fetch {entry.cell})")
    return Standing("ready", f"the distro's own, {found.origin.trust if found.origin else ''}")


def obstacle(entry: Upstream, kernel_arguments: str = "") -> str:
    """Why the image of *entry* would not boot on this machine; empty where it would."""
    boot = entry.boot
    if kernel_arguments:
        return f"its boot loader has its own kernel arguments, without {kernel_arguments}"
    if why := acceleration.obstacle(entry.arch):
        return why
    for bus in (boot.disk, boot.seed):
        if bus not in BUSES:
            return f"it needs a disk on {bus}, and guests get {' or '.join(BUSES)}"
    try:
        chosen = firmware.choose(entry.cell, entry.arch, boot.firmware)
    except HarnessError as error:
        return f"{error.what} ({error.hint})"
    if boot.edk2_before and chosen == firmware.UEFI:
        here = firmware.edk2(entry.arch)
        if here >= boot.edk2_before:
            return f"it crashes on EDK2 {boot.edk2_before} and later, and this machine has {here}"
    return ""
