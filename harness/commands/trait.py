"""``harness trait``: the properties that decide rootless behaviour."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Column, Table
from rich.text import Text

from harness.commands.common import accel_option, cache_option, libvirt_option, one_cell
from harness.commands.face import Group, end_as_ctrl_c, say
from harness.distros import registry
from harness.paths import cache
from harness.results.terminal import make_console
from harness.rootless.expectations import derive
from harness.rootless.inducers import INDUCERS
from harness.rootless.ladder import STATES
from harness.rootless.traits import TRAITS


@click.group(cls=Group)
def trait() -> None:
    """Traits: what they are, what induces and cures them, and what a cell has of them.

    \b
    Examples:
      harness trait list
      harness trait probe debian-12/x86_64
      harness shell debian-12/x86_64 --state prepared --induce prepared:newuidmap=powerless
      harness run --cell debian-12/x86_64 --induce prepared:delegated-controllers='memory pids'
    """


@trait.command("list")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def list_traits(as_json: bool) -> None:
    """List every trait, the values that can be induced, and the hints that cure it.

    \b
    Example:
      harness trait list --json
    """
    rows = []
    for name, one in TRAITS.items():
        inducer = INDUCERS.get(name)
        values = ", ".join(inducer.values) or "any" if inducer else ""
        rows.append({"trait": name, "summary": one.summary, "induce": values,
                     "hints": ", ".join(_hints(name))})  # fmt: skip
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = _table("trait", "what it is", "can be induced", "hints")
    for row in rows:
        table.add_row(row["trait"], row["summary"], row["induce"], row["hints"])
    make_console().print(table)


def _table(*names: str) -> Table:
    columns = [Column(name, overflow="fold") for name in names]
    return Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _hints(name: str) -> list[str]:
    found = (hint.name for distro in registry.all_distros() for hint in distro.hints_for(name))
    return list(dict.fromkeys(found))


@trait.command()
@click.argument("cell")
@click.option("--state", type=click.Choice(STATES), default="prepared", show_default=True,
              help="the state that the guest is asked at")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@accel_option
@libvirt_option
@cache_option
def probe(
    cell: str, state: str, as_json: bool, accel: str, libvirt_uri: str, cache_dir: str | None
) -> None:
    """Ask a guest of CELL for every trait, beside what its distro is documented to have.

    \b
    Example:
      harness trait probe debian-12/x86_64 --state booted
    """
    from harness.rootless.housekeeping import SHELLS, passing
    from harness.rootless.options import Options
    from harness.session.run import new_id

    chosen = one_cell(cell, cache_dir=cache_dir)
    place, name = cache(cache_dir), new_id()
    end_as_ctrl_c()
    options = Options(cache=place, run_id=name, run_dir=place.root / SHELLS / name,
                      uri=libvirt_uri, accel=accel, progress=say)  # fmt: skip
    with passing(options) as lab:
        facts = lab.guest(chosen, registry.of(chosen), state).probe()
    documented = derive.declared(facts, registry.of(chosen).traits_of(chosen))
    rows = [
        {"trait": key, "probed": one.probe(facts), "documented": documented.get(key)}
        for key, one in TRAITS.items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = _table("trait", "probed", "documented")
    for row in rows:
        drift = row["documented"] not in (None, row["probed"])
        table.add_row(row["trait"], Text(str(row["probed"]), style="red" if drift else ""),
                      row["documented"] or "")  # fmt: skip
    make_console().print(table)
