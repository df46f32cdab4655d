"""The image of a cell: the distro's own if it was fetched and can boot here, else a built one.
A cell that says it is a twin gets its base's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness import packages
from harness.distros.base import Distro
from harness.errors import HarnessError, UsageError
from harness.guest.guest import Guest
from harness.hypervisor import acceleration, firmware
from harness.image import recipe as recipes
from harness.image import store
from harness.image.choose import Standing, choose
from harness.image.model import Image
from harness.image.upstream import catalogue
from harness.image.upstream.catalogue import Upstream
from harness.image.upstream.fetch import cached
from harness.matrix import Cell
from harness.rootless import twins

FIX_SECONDS = 180.0
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


def settle(guest: Guest, image: Image, manager: str, log: Callable[[str], None]) -> None:
    """Give a guest of an upstream image, just booted, what the catalogue says that it needs, and
    the package lists, which such an image is shipped without.

    Raises :class:`GuestRefusal` where a command of the catalogue fails.
    """
    if image.source != "upstream":
        return
    for one in image.fixes:
        log(f"# {one.why}")
        for file in one.files:
            if file.link:
                guest.root.run("ln", "-sfn", file.link, file.path)
            else:
                guest.root.write(file.path, file.content, int(file.mode, 8))
        for command in one.commands:
            # The catalogue's own line for a shell, as the hints of a distro are.
            log(guest.root.run("sh", "-c", command, timeout=FIX_SECONDS).transcript)
        if one.reboot:
            guest.reboot()
    try:
        log(packages.manager(manager, guest.root).refresh())
    except HarnessError as error:  # what then cannot be installed says so
        log(f"the package lists could not be fetched: {error.what}\n{error.detail}")


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
    if found is None:
        return Standing("fetchable", f"not fetched (harness image fetch {entry.cell})")
    if why := _obstacle(cell, found, kernel_arguments):
        return Standing("missing", f"fetched, but {why}")
    return Standing("ready", f"the distro's own, {found.origin.trust if found.origin else ''}")


def _obstacle(cell: Cell, found: Image, kernel_arguments: str) -> str:
    if kernel_arguments:
        return f"its boot loader has its own kernel arguments, without {kernel_arguments}"
    if why := acceleration.obstacle(cell.arch):
        return why
    for bus in (found.hardware.disk, found.hardware.seed):
        if bus not in BUSES:
            return f"it needs a disk on {bus}, and guests get {' or '.join(BUSES)}"
    try:
        firmware.choose(base(cell), cell.arch, found.firmware)
    except HarnessError as error:
        return f"{error.what} ({error.hint})"
    return ""
