"""``harness image``: the disks that cells boot from."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click
from rich import box
from rich.table import Table
from rich.text import Text

from harness.commands.common import cache_option, one_cell, size_of, supports
from harness.commands.face import Group, end_as_ctrl_c, say
from harness.commands.upstream import check_command, fetch_command, show_catalogue
from harness.distros import registry
from harness.errors import TestbedError, UsageError
from harness.image import bootable, recipe, record, store
from harness.image.model import Image
from harness.image.twins import schema as twins
from harness.image.upstream import catalogue, fetch
from harness.matrix import Cell, select
from harness.paths import Cache, cache
from harness.results.terminal import make_console
from harness.results.text import printable


@click.group(cls=Group)
def image() -> None:
    """List, build, fetch and verify images; docs/images.md tells what they are.

    \b
    Examples:
      harness image build debian-12/x86_64
      harness image fetch debian-12/x86_64
    """


image.add_command(check_command)
image.add_command(fetch_command)


@image.command("list")
@click.option("--upstream", is_flag=True, help="what the catalogue has to fetch, instead")
@cache_option
def list_(upstream: bool, cache_dir: str | None) -> None:
    """List the images in the cache, and whether they are still those of the recipe or the
    catalogue.

    \b
    Examples:
      harness image list
      harness image list --upstream
    """
    if upstream:
        show_catalogue(cache(cache_dir))
        return
    found = scan(cache(cache_dir))
    if not found:
        click.echo("no images yet; a run builds what it needs, or: harness image build CELL")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("image", "source", "built", "size", "packages", "digest", "state"):
        table.add_column(name, overflow="fold", justify="right" if name == "size" else "left")
    for folder, entry, condition in found:
        style = "" if condition == "current" else "yellow"
        if entry is None:
            table.add_row(folder.name, "", "", size_of(size(folder)), "", "",
                          Text(condition, style="red"))  # fmt: skip
            continue
        table.add_row(
            entry.cell, entry.source, entry.built_at[:16].replace("T", " "),
            size_of(size(folder)), str(len(entry.packages)),
            entry.digest.removeprefix("sha256:")[:12], Text(condition, style=style),
        )  # fmt: skip
    make_console().print(table)


@image.command()
@click.argument("cell")
@click.option("--force", is_flag=True, help="build again, for newer packages")
@cache_option
def build(cell: str, force: bool, cache_dir: str | None) -> None:
    """Build the image of CELL, unless the cache holds it.  Prints its path.

    \b
    Example:
      harness image build debian-12/x86_64 --force
    """
    chosen = one_cell(cell, cache_dir=cache_dir)
    end_as_ctrl_c()
    made = store.ensure(
        _recipe(chosen), chosen.arch, cache(cache_dir).images, say,
        verify=True, force=force,
    )  # fmt: skip
    click.echo(str(made.path))


@image.command()
@click.argument("cell")
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "form", type=click.Choice(bootable.FORMATS), default="qcow2",
              show_default=True, help="of the disk")  # fmt: skip
@click.option("--force", is_flag=True, help="write over OUTPUT")
@cache_option
def export(cell: str, output: Path, form: str, force: bool, cache_dir: str | None) -> None:
    """Write the built image of CELL to OUTPUT as a disk with partitions and boot loaders.

    It boots with UEFI (systemd-boot) and, if it is of x86_64, with BIOS (syslinux).  Making it
    needs no root, but the packages gdisk, dosfstools, mtools, syslinux and systemd-boot-efi.

    \b
    Examples:
      harness image export debian-12/x86_64 debian.qcow2
      harness image export debian-12/x86_64 debian.raw --format raw
    """
    chosen = one_cell(cell, cache_dir=cache_dir)
    if output.exists() and not force:
        raise UsageError(f"{output} exists already", hint="write over it with --force")
    above = next(folder for folder in output.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"{output} cannot be written: {above} is no directory to write to")
    made_by = _recipe(chosen)
    bootable.check(made_by.cell(chosen.arch))
    end_as_ctrl_c()
    made = store.ensure(made_by, chosen.arch, cache(cache_dir).images, say, verify=True)
    bootable.export(made, output.absolute(), form, say)
    click.echo(str(output))


def _recipe(cell: Cell) -> recipe.Recipe:
    distro = registry.of(cell)
    if cell.twin:
        base = twins.load(distro.id).base
        raise UsageError(f"{cell} has no image of its own: its guests boot the one of {base}",
                         command=f"harness image build {base}/{cell.arch}")  # fmt: skip
    return recipe.load(distro.recipe)


@image.command()
@click.argument("cell", required=False)
@cache_option
def verify(cell: str | None, cache_dir: str | None) -> None:
    """Read every byte of the image of CELL, or of all images, and compare the digests.  All that
    are damaged are told.

    \b
    Example:
      harness image verify debian-12/x86_64
    """
    found = scan(cache(cache_dir))
    if cell is not None:
        starts = _names(cell)
        found = [entry for entry in found if entry[0].name.startswith(starts)]
        if not found:
            verb = "build" if _is_built(cell) else "fetch" if cell in catalogue.load_all() else ""
            raise UsageError(
                f"the cache holds no image of {cell}",
                command=f"harness image {verb} {cell}" if verb else "harness matrix",
            )
    bad: list[TestbedError] = []
    for folder, entry, condition in found:
        try:
            if entry is None:
                raise _damaged(folder, condition)
            store.verify(entry)
            click.echo(f"{entry.cell}: {entry.digest}")
        except TestbedError as error:
            bad.append(error)
    for earlier in bad[:-1]:
        say(printable(f"harness: {earlier}"))
    if bad:
        raise bad[-1]
    if not found:
        click.echo("no images")


def _damaged(folder: Path, condition: str) -> TestbedError:
    """What is said of a directory of images that holds none."""
    cell = folder.name.rpartition("-")[0].replace("_", "/", 1)
    name, _, arch = cell.partition("/")
    entry = catalogue.load_all().get(cell)
    fetched = entry is not None and fetch.place(entry, folder.parent) == folder
    if not fetched and name in recipe.names() and arch in recipe.load(name).arch:
        hint, command = "build it again", f"harness image build {cell} --force"
    elif entry:
        hint, command = "fetch it again", f"harness image fetch {cell} --force"
    else:
        hint, command = "nothing makes it again; remove it", f"rm -r {shlex.quote(str(folder))}"
    return TestbedError(f"the image {folder} is {condition}", hint=hint, command=command)


def _is_built(cell: str) -> bool:
    (row,) = select(supports(), cells=[cell])
    return registry.describes(row.cell) and row.cell.arch in registry.of(row.cell).recipe_arches


def _names(cell: str) -> tuple[str, ...]:
    """What the directories of a cell's images begin with, built and fetched."""
    fetched: tuple[str, ...] = ()
    if cell in catalogue.load_all():
        fetched = (f"{cell.replace('/', '_')}-",)
        if not any(row.cell.id == cell and registry.describes(row.cell) for row in supports()):
            return fetched  # nothing but its image is known
    chosen = one_cell(cell, bootable=False)
    return (*fetched, f"{registry.of(chosen).recipe}_{chosen.arch}-")


def scan(place: Cache) -> list[tuple[Path, Image | None, str]]:
    """Every image directory with its image, and ``current``, ``old recipe``, ``old catalogue``
    or what is damaged."""
    found: list[tuple[Path, Image | None, str]] = []
    for folder in sorted(place.images.glob("[!.]*")):
        try:
            entry = record.load(folder, full=False)
        except record.Corrupt as damage:
            found.append((folder, None, f"damaged: {damage}"))
            continue
        if entry is not None:
            found.append((folder, entry, _condition(entry)))
    return found


def _condition(entry: Image) -> str:
    name, _, arch = entry.cell.partition("/")
    try:
        if entry.origin:
            now = catalogue.load_all()[entry.cell].hash()
            return "current" if now == entry.recipe_hash else "old catalogue"
        return "current" if recipe.load(name).hash(arch) == entry.recipe_hash else "old recipe"
    except (UsageError, KeyError):  # the recipe or the entry is gone, or broken
        return "old catalogue" if entry.origin else "old recipe"


def size(folder: Path) -> int:
    """Bytes on disk."""
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())
