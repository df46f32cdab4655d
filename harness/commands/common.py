"""Options and look-ups that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from harness.distros import registry
from harness.errors import UsageError
from harness.hypervisor.acceleration import CHOICES
from harness.matrix import Cell, Support, select
from harness.paths import cache

EMBED = "qemu:///embed"  # as in harness.hypervisor.connection, which needs libvirt to be imported

Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])


def cache_option(function: Wrapped) -> Wrapped:
    return click.option(
        "--cache-dir", metavar="DIR",
        help="images, saved states and leases (default: $ROOTLESS_HARNESS_CACHE or the user's "
             "cache directory)",
    )(function)  # fmt: skip


def libvirt_option(function: Wrapped) -> Wrapped:
    return click.option(
        "--libvirt-uri", metavar="URI", default=EMBED, show_default=True,
        help="the libvirt to use",
    )(function)  # fmt: skip


def accel_option(function: Wrapped) -> Wrapped:
    return click.option(
        "--accel", type=click.Choice(CHOICES), default="auto", show_default=True,
        help="the accelerator of guests of the host's architecture",
    )(function)  # fmt: skip


def supports() -> list[Support]:
    """The matrix, as this machine can boot it."""
    from harness.image.upstream import catalogue
    from harness.session.options import obstacle

    return registry.supports(obstacle, catalogue.load_all())


def one_cell(
    text: str, *, bootable: bool = True, cache_dir: str | None = None, source: str = "auto",
    kernel_arguments: str = "",
) -> Cell:  # fmt: skip
    """The cell that a user named: ``debian-12/x86_64``, or with ``/docker.io=20.10.24`` behind.

    A *bootable* one has an image of that *source*, with the *kernel_arguments*, as the cache in
    *cache_dir* stands."""
    pattern, engine = "/".join(text.split("/")[:2]), "/".join(text.split("/")[2:])
    rows = select(supports(), cells=[pattern])
    if len(rows) > 1:
        names = ", ".join(row.cell.id for row in rows)
        raise UsageError(f"{text!r} matches several cells; name one of: {names}")
    (row,) = rows
    if not registry.describes(row.cell):
        raise UsageError(f"{row.cell} cannot boot here: {row.reason}", command="harness matrix")
    if bootable and (source != "auto" or row.status != "available"):
        row = _with_image(row, cache_dir, source, kernel_arguments)
    if bootable and row.status != "available":
        raise UsageError(f"{row.cell} cannot boot here: {row.reason}", command="harness matrix")
    if not engine:
        return row.cell
    from harness.session.options import with_engine

    return with_engine(row.cell, engine)


def _with_image(
    row: Support, cache_dir: str | None, source: str, kernel_arguments: str
) -> Support:
    """The row as *source* has it: the distro's own image may have been fetched, or a twin stands
    in."""
    from harness.image.upstream import catalogue
    from harness.session.sources import sourced

    ((found, _),) = sourced(
        [row], catalogue.load_all(), cache(cache_dir).images, source, kernel_arguments
    )
    return found


def size_of(size: int) -> str:
    """``1.5 GiB``, ``12 MiB``, ``3 KiB``."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}" if unit == "GiB" else f"{size // factor} {unit}"
    return f"{-(-size // 1024)} KiB"


def ago(seconds: float) -> str:
    """``3 d``, ``5 h``, ``12 min``."""
    for unit, factor in (("d", 86_400), ("h", 3600)):
        if seconds >= 2 * factor:
            return f"{seconds / factor:.0f} {unit}"
    return f"{max(0.0, seconds) / 60:.0f} min"


def number(count: int, what: str) -> str:
    """``1 state``, ``2 states``."""
    return f"{count} {what}{'' if count == 1 else 's'}"
