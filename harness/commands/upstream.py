"""``harness image check`` and ``harness image fetch``: the distros' own images."""

from __future__ import annotations

from collections.abc import Iterable
from multiprocessing.pool import ThreadPool

import click
from rich import box
from rich.table import Table
from rich.text import Text

from harness.commands.common import cache_option
from harness.commands.face import FINDING, end_as_ctrl_c, say
from harness.errors import TestbedError, UsageError
from harness.image.upstream import catalogue, fetch, trust
from harness.image.upstream.catalogue import Upstream
from harness.image.upstream.check import Report
from harness.image.upstream.check import check as check_one
from harness.image.upstream.web import Web
from harness.paths import Cache, cache
from harness.results.terminal import make_console
from harness.rootless import sourcing

STYLES = {"answers": "green", "no answer": "yellow"}  # what else there is, is red
AT_ONCE = 8


@click.command("fetch")
@click.argument("cell")
@click.option("--trust", "level", type=click.Choice(trust.LEVELS), default=trust.LEVELS[0],
              show_default=True,
              help="what to believe of an image without a pinned digest: the distro's signature; "
                   "also its unsigned checksum; also whatever comes")  # fmt: skip
@click.option("--latest", is_flag=True, help="what the distro serves today instead of the pin")
@click.option("--offline", is_flag=True, help="use the cache alone")
@click.option("--force", is_flag=True, help="fetch again what the cache holds")
@cache_option
def fetch_command(
    cell: str, level: str, latest: bool, offline: bool, force: bool, cache_dir: str | None
) -> None:
    """Fetch the distro's own image of CELL, verify it, unpack it.  Prints its path.

    An interrupted download goes on where it was.  A pinned digest is believed; without one
    the distro's signature is, by a key in images/keys with the fingerprint of the catalogue.

    \b
    Examples:
      harness image fetch debian-12/aarch64
      harness image fetch debian-12/x86_64 --latest --trust checksum
    """
    if offline and force:
        raise UsageError("--force fetches the image again, which --offline forbids")
    (entry, *others) = catalogue.select((cell,))
    if others:
        names = ", ".join(one.cell for one in (entry, *others))
        raise UsageError(f"{cell!r} matches several cells; name one of: {names}")
    if why := sourcing.obstacle(entry):
        say(f"{entry.cell}: it will not boot here: {why}")
    end_as_ctrl_c()
    with Web() as web:
        options = fetch.Options(trust=level, offline=offline, latest=latest, force=force, web=web)
        image = fetch.fetch(entry, cache(cache_dir).images, say, options)
    click.echo(str(image.path))


@click.command("check")
@click.argument("cells", nargs=-1, metavar="[CELL]...")
def check_command(cells: tuple[str, ...]) -> None:
    """Ask which images of the catalogue are still where it says.  Downloads none.

    CELL may be a pattern.  Where a pin has rotted or is missing, lines to paste into the
    catalogue are printed, with how far they can be trusted.

    \b
    Exit status: 1 if a file is gone, refused, another or not validly signed, 16 if no server
    answered.

    \b
    Example:
      harness image check 'debian-*'
    """
    entries = catalogue.select(cells)
    if not entries:
        raise UsageError(f"the catalogue is empty: {catalogue.folder()}")
    say(f"asking for {len(entries)} images…")
    with ThreadPool(AT_ONCE) as pool:  # daemons: Ctrl-C waits for none of them
        reports = pool.map(_check, entries)
    _show(reports)
    if any(report.rotten for report in reports):
        raise click.exceptions.Exit(FINDING)
    if all(report.silent for report in reports):
        raise TestbedError("no server answered", hint="is this machine online, and does it need a"
                           " proxy (https_proxy)?", command="harness image check")  # fmt: skip


def _check(entry: Upstream) -> Report:
    with Web(stall=20, attempts=2) as web:
        return check_one(entry, web)


def _show(reports: Iterable[Report]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("cell", "what", "state"):
        table.add_column(name, overflow="fold")
    table.add_column("detail", overflow="fold")
    table.add_column("URL", overflow="fold")
    proposals = []
    for report in reports:
        for found in report.findings:
            state = Text(found.state, style=STYLES.get(found.state, "red"))
            table.add_row(found.cell, found.what, state, found.detail, found.url)
        proposals += [report.proposal] if report.proposal else []
    make_console().print(table)
    for proposal in proposals:
        click.echo(f"\n{proposal}")


def show_catalogue(place: Cache) -> None:
    """Every entry of the catalogue: what would be fetched, and why it would be believed."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("image", "provenance", "format", "believed by", "end of life", "state"):
        table.add_column(name, overflow="fold")
    for cell, entry in catalogue.load_all().items():
        here = fetch.cached(entry, place.images)
        state = "cached" if here else entry.fetchable.partition(" (")[0] or "not fetched"
        table.add_row(cell, entry.entry.provenance, entry.entry.format, _believed(entry),
                      entry.entry.end_of_life, state)  # fmt: skip
    make_console().print(table)


def _believed(entry: Upstream) -> str:
    if entry.entry.pinned:
        return "pin, signature" if entry.key else "pin"
    if entry.key:
        return "signature"
    latest = entry.entry.latest
    return "--trust checksum" if latest and latest.checksum else "--trust first-use"
