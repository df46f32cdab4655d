"""``harness bug``: reported bugs, and guests that show them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import click
from rich.text import Text

from harness.commands.common import (
    accel_option,
    cache_option,
    libvirt_option,
    one_cell,
    supports,
)
from harness.commands.face import FINDING, Group, end_as_ctrl_c, say
from harness.distros import registry
from harness.errors import UsageError
from harness.guest.guest import Guest
from harness.matrix import Cell, Support
from harness.paths import cache
from harness.results.terminal import fields, make_console
from harness.results.text import one_line, printable
from harness.rootless import bugs
from harness.rootless.bugs.documented import facts_of
from harness.rootless.bugs.model import CANNOT, NOT_REPRODUCED, REPRODUCED
from harness.rootless.housekeeping import SHELLS, passing
from harness.rootless.lab import Lab
from harness.rootless.options import Options

STYLES = {REPRODUCED: "bold red", NOT_REPRODUCED: "green", CANNOT: "yellow", "not known": "dim"}
UNKNOWN = "not known"
WIDTH = 18  # of the names beside which its fields are
SHORT = {REPRODUCED: "shows", NOT_REPRODUCED: "does no harm", CANNOT: "cannot be shown",
         UNKNOWN: UNKNOWN}
LISTED = {REPRODUCED: "shows_on", NOT_REPRODUCED: "harmless_on", CANNOT: "not_to_be_had_on",
          UNKNOWN: "not_known_of"}  # fmt: skip


@click.group(cls=Group)
def bug() -> None:
    """List reported bugs of rootless Docker, and show them on guests.

    \b
    Examples:
      harness bug list
      harness bug show tun-gone
      harness bug reproduce tun-gone --cell debian-12/x86_64
    """


@bug.command("list")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def list_(as_json: bool) -> None:
    """List the bugs: where each was reported, its symptom and its cause, and on which distros
    their documented traits let it show.

    \b
    Example:
      harness bug list --json
    """
    everywhere = {name: _forecast(bugs.find(name)) for name in bugs.BUGS}
    if as_json:
        click.echo(json.dumps([_plain(bugs.find(n), f) for n, f in everywhere.items()], indent=1))
        return
    console = make_console()
    for name, forecast in everywhere.items():
        entry = bugs.find(name)
        console.print(Text.assemble((name, "bold"), f"  {entry.tracker}, {entry.seen_on}"),
                      soft_wrap=True)  # fmt: skip
        fields(console, WIDTH, summary=entry.summary, cause=entry.cause, symptom=entry.symptom,
                **_summed_up(forecast))  # fmt: skip
    console.print(f"{len(everywhere)} bugs; harness bug reproduce NAME shows one on a guest")


@bug.command()
@click.argument("name")
def show(name: str) -> None:
    """Tell all about the bug NAME, and what is to be expected on each distro.

    \b
    Example:
      harness bug show tun-gone
    """
    entry = bugs.find(name)
    console = make_console()
    console.print(Text.assemble((entry.name, "bold"), f"  {entry.summary}"), soft_wrap=True)
    fields(console, WIDTH, tracker=f"{entry.tracker}: {entry.url}", seen_on=entry.seen_on,
            cause=entry.cause, symptom=entry.symptom, trait=entry.trait,
            starts_from=f"state {entry.state}", cured_by=entry.cured_by)  # fmt: skip
    console.print("  by the documented traits, on")
    for distro, (verdict, reason) in _forecast(entry).items():
        said = f"{SHORT[verdict]}{': ' if reason else ''}{reason}"
        console.print(Text.assemble(f"    {distro:20} ", (said, STYLES[verdict])), soft_wrap=True)


@bug.command()
@click.argument("name")
@click.option("--cell", "cell", metavar="CELL",
              help="the guest's cell (default: the first that can boot here and should show it)")
@click.option("--verbose", "-v", is_flag=True, help="print everything that was done and said")
@accel_option
@libvirt_option
@cache_option
def reproduce(
    name: str, cell: str | None, verbose: bool, accel: str, libvirt_uri: str,
    cache_dir: str | None,
) -> int:  # fmt: skip
    """Show the bug NAME on guests: without its trait, with it, and cured.

    Guests are restored from a saved state, which is made first where it is missing, and end with
    the command.

    \b
    Exit status:
      0   reproduced
      1   not reproduced, or it cannot be shown on this cell
      4   wrong usage
      16  the test bed broke

    \b
    Example:
      harness bug reproduce ids-too-few --cell debian-12/x86_64
    """
    from harness.session.run import new_id

    entry = bugs.find(name)
    chosen = one_cell(cell, cache_dir=cache_dir) if cell else _default_cell(entry)
    place = cache(cache_dir)
    run_id = new_id()
    end_as_ctrl_c()
    options = Options(
        cache=place, run_id=run_id, run_dir=place.root / SHELLS / run_id, uri=libvirt_uri,
        accel=accel, progress=say,
    )  # fmt: skip
    with passing(options) as lab, _one_guest_at_a_time(lab, chosen) as give:
        report = bugs.reproduce(entry, chosen, give, say)
    _print(report, chosen, verbose)
    return 0 if report.verdict == REPRODUCED else FINDING


@contextlib.contextmanager
def _one_guest_at_a_time(lab: Lab, cell: Cell) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def give(state: str) -> Guest:
            stack.close()
            guest = lab.guest(cell, registry.of(cell), state)
            stack.callback(guest.end)
            return guest

        yield give


def _available() -> list[Support]:
    return [row for row in supports() if row.status == "available"]


def _default_cell(entry: bugs.Bug) -> Cell:
    cells = [row.cell for row in _available()]
    if not cells:
        raise UsageError("no cell can boot here", command="harness matrix")
    for cell in cells:
        if bugs.expected(entry, facts_of(cell, registry.of(cell)))[0] == REPRODUCED:
            return cell
    return cells[0]


def _forecast(entry: bugs.Bug) -> dict[str, tuple[str, str]]:
    """Distro id → what its documented traits let expect, and why."""
    found = {}
    for distro in registry.all_distros():
        cell = Cell(distro.name, distro.release, distro.arches[0])
        facts = facts_of(cell, distro)
        known = facts.engine and facts.kernel
        found[distro.id] = (
            bugs.expected(entry, facts) if known
            else (UNKNOWN, "the versions it has are not documented")
        )  # fmt: skip
    return found


def _summed_up(forecast: dict[str, tuple[str, str]]) -> dict[str, str]:
    by_verdict: dict[str, list[str]] = {}
    for distro, (verdict, _) in forecast.items():
        by_verdict.setdefault(verdict, []).append(distro)
    return {LISTED[verdict]: ", ".join(by_verdict[verdict]) for verdict in LISTED
            if verdict in by_verdict}  # fmt: skip


def _plain(entry: bugs.Bug, forecast: dict[str, tuple[str, str]]) -> dict[str, Any]:
    texts = ("name", "tracker", "url", "seen_on", "summary", "cause", "trait", "symptom",
             "cured_by", "state")  # fmt: skip
    cells = {
        distro: {"expected": verdict, "because": reason}
        for distro, (verdict, reason) in forecast.items()
    }
    return {**{text: getattr(entry, text) for text in texts}, "distros": cells}


def _print(report: bugs.Report, cell: Cell, verbose: bool) -> None:
    console = make_console()
    entry = report.bug
    if verbose and report.steps:
        console.print(Text(printable(report.transcript)), soft_wrap=True)
    console.print(Text.assemble((entry.name, "bold"), f"  {entry.tracker}  {entry.summary}"),
                  soft_wrap=True)  # fmt: skip
    fields(console, WIDTH, cell=cell.id, trait=entry.trait)
    for step in report.steps:
        said = step.symptom or ("no symptom" if step.healthy else f"fails: {step.last_line}")
        fields(console, WIDTH, **{step.name: _clipped(one_line(said))})
    if report.steps and report.steps[-1].name == "cured":
        fields(console, WIDTH, cured_by=entry.cured_by)
    if report.verdict != REPRODUCED and report.steps and not verbose:
        console.print(Text(printable(report.steps[-1].said[-1500:])), soft_wrap=True)
    reason = f": {report.reason}" if report.reason else ""
    console.print(Text(one_line(f"{report.verdict}{reason}"), style=STYLES[report.verdict]),
                  soft_wrap=True)  # fmt: skip


def _clipped(line: str) -> str:
    """runc tells all that it asked for, and only then why not: the middle can go."""
    return line if len(line) < 400 else f"{line[:240].rstrip()} ... {line[-120:].lstrip()}"
