"""``harness matrix``."""

from __future__ import annotations

import json

import click
from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.commands.common import (
    accel_option,
    cache_option,
    libvirt_option,
    one_cell,
    supports,
)
from harness.commands.face import end_as_ctrl_c, say
from harness.image.choose import CHOICES
from harness.image.upstream import catalogue
from harness.matrix import Cell, select
from harness.paths import cache
from harness.results.terminal import make_console
from harness.rootless.archive import meaning
from harness.rootless.housekeeping import SHELLS
from harness.rootless.options import Options
from harness.session.engines import versions
from harness.session.options import with_engine
from harness.session.run import new_id
from harness.session.sources import sourced

NARROW = 60  # columns; below them a reason has no room beside its cell
USUAL = 80  # columns of a terminal; on a narrower one names are folded, too
STYLES = {"available": "green", "unsupported": "dim", "unreachable": "yellow"}


@click.command()
@click.option("--cell", "cells", multiple=True, metavar="GLOB", help="such as 'debian-12/*'")
@click.option("--distro", "distros", multiple=True, metavar="GLOB", help="debian or debian-12")
@click.option("--arch", "arches", multiple=True, metavar="GLOB", help="such as x86_64")
@click.option("--image-source", type=click.Choice(CHOICES), default="auto", show_default=True,
              help="only images of this source; auto: upstream's if it was fetched, then a built "
                   "one, then a twin")  # fmt: skip
@click.option("--versions", "versions_of", metavar="CELL",
              help="list the versions of the engine's package that CELL's archive has (asks a "
                   "guest)")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@accel_option
@libvirt_option
@cache_option
def matrix(
    cells: tuple[str, ...], distros: tuple[str, ...], arches: tuple[str, ...],
    image_source: str, versions_of: str | None, as_json: bool, accel: str, libvirt_uri: str,
    cache_dir: str | None,
) -> None:  # fmt: skip
    """List every cell: whether it can boot here, and if not, why.

    \b
    available    its image can be built and booted on this machine
    unsupported  a document rules it out
    unreachable  something is missing, named beside it

    \b
    Examples:
      harness matrix --distro debian --arch x86_64
      harness matrix --versions debian-12/x86_64
    """
    if versions_of is not None:
        place = cache(cache_dir)
        name = new_id()
        _versions(one_cell(versions_of, cache_dir=cache_dir), as_json, Options(
            cache=place, run_id=name, run_dir=place.root / SHELLS / name, uri=libvirt_uri,
            accel=accel, progress=say,
        ))  # fmt: skip
        return
    selected = select(supports(), cells=cells, distros=distros, arches=arches)
    rows = sourced(selected, catalogue.load_all(), cache(cache_dir).images, image_source)
    if as_json:
        click.echo(json.dumps(
            [{"cell": r.cell.id, "status": r.status, "source": r.source or None,
              "reason": r.reason or None, "why": why or None} for r, why in rows], indent=1,
        ))  # fmt: skip
        return
    console = make_console()
    if console.width < NARROW:
        for row, why in rows:
            style = STYLES.get(row.status, "")
            console.print(row.cell.id)
            for said in (Text(f"{row.status} {row.source}".rstrip(), style=style),
                         row.reason or Text(why, style="dim")):  # fmt: skip
                console.print(Padding(said, (0, 0, 0, 2), expand=False))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("cell", "status", "image"):
        table.add_column(name, no_wrap=console.width >= USUAL, overflow="fold")
    table.add_column("reason", overflow="fold")
    for row, why in rows:
        status = Text(row.status, style=STYLES.get(row.status, ""))
        table.add_row(row.cell.id, status, row.source, row.reason or Text(why, style="dim"))
    console.print(table)


def _versions(cell: Cell, as_json: bool, options: Options) -> None:
    end_as_ctrl_c()
    found = versions(options, cell)
    rows = [(version, with_engine(cell, meaning(found, version)).id) for version in found]
    if as_json:
        click.echo(json.dumps([{"version": v, "cell": name} for v, name in rows], indent=1))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in ("version", "cell"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    make_console().print(table)
