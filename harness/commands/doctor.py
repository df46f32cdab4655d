"""``harness doctor``."""

from __future__ import annotations

import click
from rich import box
from rich.table import Table
from rich.text import Text

from harness.commands.checks import FAIL, OK, WARN, all_checks
from harness.commands.common import EMBED, cache_option, libvirt_option
from harness.commands.face import TESTBED
from harness.paths import cache
from harness.results.terminal import make_console

STYLES = {OK: "green", WARN: "yellow", FAIL: "bold red"}


@click.command()
@libvirt_option
@cache_option
def doctor(libvirt_uri: str, cache_dir: str | None) -> int:
    """Check whether this machine can build images and boot guests.

    \b
    ok    as it should be
    warn  works, but something is slower or missing
    fail  runs will not work; exit status 16

    \b
    Example:
      harness doctor
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    table.add_column("what", overflow="fold")
    table.add_column("found", overflow="fold")
    table.add_column("next step", overflow="fold")
    failed = False
    for check in all_checks(cache(cache_dir), libvirt_uri or EMBED):
        table.add_row(Text(check.status, style=STYLES[check.status]), check.name,
                      Text(check.found), Text(check.next_step))  # fmt: skip
        failed = failed or check.status == FAIL
    make_console().print(table)
    return TESTBED if failed else 0
