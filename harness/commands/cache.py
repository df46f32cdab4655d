"""``harness cache``: what is kept between runs, and getting rid of it."""

from __future__ import annotations

import math
import os
import shutil
import time
from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from harness.commands.common import ago, cache_option, number, size_of
from harness.commands.face import Group
from harness.commands.image import scan, size
from harness.commands.stored import altered
from harness.errors import UsageError
from harness.hypervisor.leases import Lease, Leases
from harness.hypervisor.saved import StateStore
from harness.image.store import list_images, remove
from harness.image.twins import cached
from harness.paths import Cache
from harness.paths import cache as cache_at
from harness.results.terminal import make_console
from harness.rootless import housekeeping
from harness.rootless.lab import STATE_MAX_AGE, STATE_MAX_BYTES

DAY, GIB = 86_400.0, 1 << 30
MOST = 1e9  # more days or GiB than there will be, and fewer seconds or bytes than a number holds


class Amount(click.FloatRange):
    """A number from 0 to MOST, and not ``nan``."""

    def __init__(self) -> None:
        super().__init__(min=0, max=MOST)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no amount", param, ctx)
        return number


@click.group(cls=Group, invoke_without_command=True)
@cache_option
@click.pass_context
def cache(ctx: click.Context, cache_dir: str | None) -> None:
    """Show what is cached: images, packages of twins, saved states, guests.

    Runs keep the cache small by themselves: what nobody used for two weeks goes, and the
    oldest beyond 40 GiB or half of the room that the disk has.

    \b
    Examples:
      harness cache
      harness cache evict --max-size 5
      harness cache clear --states
      harness cache reap --kept
    """
    ctx.obj = cache_at(cache_dir)
    if ctx.invoked_subcommand is None:
        _show(ctx.obj)


@cache.command()
@click.option("--kept", is_flag=False, flag_value="", default=None, metavar="[NAME]",
              help="also guests that --keep-failed left running: all, or the one called NAME")
@click.pass_obj
def reap(place: Cache, kept: str | None) -> None:
    """End guests whose process has died.  Guests of live runs are never touched.

    \b
    Examples:
      harness cache reap
      harness cache reap --kept
      harness cache reap --kept debian-12_x86_64-1a2b3c4d
    """
    leases = Leases(place.leases)
    names = [lease.name for lease in leases.all() if lease.kept]
    if kept and kept not in names:
        known = ", ".join(names) or "none"
        raise UsageError(f"no kept guest is called {kept!r}; kept guests: {known}",
                         command="harness cache")  # fmt: skip
    ended = leases.reap(kept=kept is not None, only=kept or None)
    for lease in ended:
        click.echo(f"ended {lease.name}")
    if not ended:
        click.echo("nothing to end")


@cache.command()
@click.option("--max-age", type=Amount(), metavar="DAYS",
              default=STATE_MAX_AGE / DAY, show_default=True,
              help="what was not used for so long goes")
@click.option("--max-size", type=Amount(), metavar="GIB",
              show_default=f"{STATE_MAX_BYTES >> 30}, or half of what the disk has",
              help="then the longest unused states go, until the rest fits")
@click.pass_obj
def evict(place: Cache, max_age: float, max_size: float | None) -> None:
    """Remove old states and packages of twins, states whose image is gone, and what dead
    processes left.

    What was used within the last hour stays, as a run may be about to use it again.

    \b
    Example:
      harness cache evict --max-age 3 --max-size 5
    """
    most = None if max_size is None else int(max_size * GIB)
    removed = housekeeping.keep_house(place, max_age=max_age * DAY, max_bytes=most)
    click.echo(f"removed {removed}" if str(removed) else "nothing to remove")


@cache.command()
@click.option("--states", is_flag=True, help="saved states")
@click.option("--images", is_flag=True, help="images, the packages of twins made of them, and "
              "the states on top of them")
@click.option("--all", "everything", is_flag=True, help="both, logs of shells, and what libvirt "
              "learned of QEMU")
@click.pass_obj
def clear(place: Cache, states: bool, images: bool, everything: bool) -> None:
    """Remove what is cached; the next run makes it again.  What a running guest uses stays.

    \b
    Example:
      harness cache clear --states
    """
    if not (states or images or everything):
        raise UsageError("say what to clear: --states, --images or --all")
    gone, left = housekeeping.clear_states(place)
    click.echo(f"removed {number(len(gone), 'state')}")
    if left:
        click.echo(f"kept {number(len(left), 'state')} that running guests use")
    if images or everything:
        _clear_images(place)
    if everything:
        for part in (housekeeping.SHELLS, "libvirt"):
            if not housekeeping.used_files(place):
                shutil.rmtree(place.root / part, ignore_errors=True)


def _clear_images(place: Cache) -> None:
    lines = housekeeping.used_files(place)
    for entry in list_images(place.images):
        if f"{entry.folder}/" in lines:
            click.echo(f"kept the image of {entry.cell}, which running guests use")
            continue
        remove(entry)
        click.echo(f"removed the image of {entry.cell}")
    if gone := cached.evict(place.twins, 0.0):
        click.echo(f"removed the packages of {number(len(gone), 'twin')}")
    for folder, whole, _ in scan(place):
        if whole is not None:
            continue
        if f"{folder}/" in lines:
            click.echo(f"kept {folder.name}, which running guests use")
            continue
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)
        done = "cannot remove" if os.path.lexists(folder) else "removed"
        click.echo(f"{done} {folder.name}, which was damaged")


def _show(place: Cache) -> None:
    console = make_console()
    now = time.time()
    images = scan(place)
    states = StateStore(place.states).all()
    leases = Leases(place.leases).all()
    twins = cached.repositories(place.twins)
    total = sum(size(folder) for folder, _, _ in images)
    total += sum(state.size for state in states) + sum(one.size for one in twins)
    free = shutil.disk_usage(place.images).free
    console.print(Text(f"{place.root}: {size_of(total)} in images, states and packages, "
                       f"{size_of(free)} free"), soft_wrap=True)  # fmt: skip
    if images:
        table = _table("image", "state", "size")
        for folder, entry, condition in images:
            name = entry.cell if entry else folder.name
            table.add_row(name, condition, size_of(size(folder)))
        console.print()
        console.print(table)
    if twins:
        table = _table("packages of the twin", "key", "made", "used", "size")
        for one in twins:
            table.add_row(one.twin, one.key[:8], f"{ago(now - one.made)} ago",
                          f"{ago(now - one.used)} ago", size_of(one.size))  # fmt: skip
        console.print()
        console.print(table)
    if states:
        present = list_images(place.images)
        store = StateStore(place.states)
        table = _table("saved state", "of", "key", "made", "used", "size", "note")
        for state in sorted(states, key=lambda s: (s.cell, s.created)):
            lost = housekeeping.orphaned(state, store, present)
            note = "what lies below it is gone" if lost else altered(state)
            table.add_row(
                state.name, state.cell, state.key[:8], f"{ago(now - state.created)} ago",
                f"{ago(now - state.used)} ago", size_of(state.size), note,
            )  # fmt: skip
        console.print()
        console.print(table)
    if leases:
        table = _table("guest", "of", "", "since", "run")
        for lease in leases:
            style, what = _condition(lease)
            table.add_row(lease.name, lease.cell, Text(what, style=style),
                          f"{ago(now - lease.created)} ago", lease.run)  # fmt: skip
        console.print()
        console.print(table)
    if any(not lease.kept and not lease.owner_alive for lease in leases):
        console.print("orphans are ended by the next run, or by: harness cache reap")


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold", justify="right" if name == "size" else "left")
    return table


def _condition(lease: Lease) -> tuple[str, str]:
    if lease.kept:
        return "cyan", "kept"
    return ("green", "in use") if lease.owner_alive else ("yellow", "orphan")
