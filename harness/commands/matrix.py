"""``harness matrix``."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Table
from rich.text import Text

from harness.commands.common import supports
from harness.matrix import select
from harness.results.terminal import make_console

STYLES = {"available": "green", "unsupported": "dim", "unreachable": "yellow"}


@click.command()
@click.option("--cell", "cells", multiple=True, metavar="GLOB", help="such as 'debian-12/*'")
@click.option("--distro", "distros", multiple=True, metavar="GLOB", help="debian or debian-12")
@click.option("--arch", "arches", multiple=True, metavar="GLOB", help="such as x86_64")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def matrix(
    cells: tuple[str, ...], distros: tuple[str, ...], arches: tuple[str, ...], as_json: bool
) -> None:
    """List every cell: whether it can boot here, and if not, why.

    \b
    available    its image can be built and booted on this machine
    unsupported  a document rules it out
    unreachable  something is missing, named beside it

    \b
    Example:
      harness matrix --distro debian --arch x86_64
    """
    rows = select(supports(), cells=cells, distros=distros, arches=arches)
    if as_json:
        click.echo(json.dumps(
            [{"cell": r.cell.id, "status": r.status, "source": r.source or None,
              "reason": r.reason or None} for r in rows], indent=1,
        ))  # fmt: skip
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("cell", "status", "image"):
        table.add_column(name, no_wrap=True)
    table.add_column("reason")
    for row in rows:
        table.add_row(
            row.cell.id, Text(row.status, style=STYLES.get(row.status, "")), row.source, row.reason
        )
    make_console().print(table)
