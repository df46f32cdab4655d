"""``harness report`` and ``harness compare``: what stored runs say."""

from __future__ import annotations

import io
import os
import re
import shutil
from datetime import date
from pathlib import Path

import click
from rich.console import Console

from harness.commands.stored import find_run
from harness.errors import UsageError
from harness.results import terminal
from harness.results.compare import compare as compared
from harness.results.compare import render_comparison
from harness.results.html import render_html
from harness.results.known_issues import documents
from harness.results.run import Run
from harness.results.store import FILE, load_run

SVG_WIDTH = 110
_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)  # a picture should not load anything


@click.command()
@click.argument("run", required=False)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="write a picture of the report, instead of printing it")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="write it as one HTML file, with the evidence of every row")
def report(run: str | None, svg: Path | None, page: Path | None) -> None:
    """Show the report of a stored run again: RUN is its directory or id, else the newest.

    \b
    Examples:
      harness report
      harness report runs/20261122-040248-ba44
      harness report --svg report.svg
      harness report --html report.html
    """
    where = find_run(run)
    stored = load_run(where)
    if page is not None:
        _write_html(page, stored, where)
    if svg is not None:
        _write_svg(svg, stored, where)
    if svg is None and page is None:
        _render(terminal.make_console(), stored, where, wrap=False)


def _write_html(file: Path, stored: Run, where: Path) -> None:
    claims, issues = documents()
    _write(file, render_html(stored, claims=claims, issues=issues, today=date.today(),
                             directory=_directory(where)))  # fmt: skip
    click.echo(f"{file}: the report of run {stored.info.id}")


def _write_svg(file: Path, stored: Run, where: Path) -> None:
    console = Console(file=io.StringIO(), record=True, width=SVG_WIDTH, force_terminal=True,
                      color_system="truecolor", markup=False, highlight=False, emoji=False,
                      legacy_windows=False)  # fmt: skip
    _render(console, stored, where, wrap=True)
    _write(file, _FONTS.sub("", console.export_svg(title="harness report")))
    click.echo(f"{file}: the report of run {stored.info.id}")


def _write(file: Path, text: str) -> None:
    """Beside it first, so that a disk that is full does not cost the report that was there."""
    target = Path(os.path.realpath(file))
    if target.name == FILE:
        raise UsageError(f"{file}: a file of this name is a stored run", hint="choose another name")
    beside = os.access(target.parent, os.W_OK) and (file.is_file() or not file.exists())
    part = target.with_name(f".{target.name}.part") if beside else file
    try:
        part.write_text(text, encoding="utf-8")
        if beside:
            if target.exists():
                shutil.copymode(target, part)
            part.replace(target)
    except OSError as error:
        error.filename = str(file)  # a full disk names none
        if beside:
            part.unlink(missing_ok=True)
        raise


def _render(console: Console, stored: Run, where: Path, *, wrap: bool) -> None:
    claims, issues = documents()
    terminal.render(
        console, stored, claims=claims, issues=issues, wrap=wrap, today=date.today(),
        directory=_directory(where),
    )  # fmt: skip


def _directory(where: Path) -> str:
    return str(where if where.is_dir() else where.parent)


@click.command()
@click.argument("old")
@click.argument("new")
def compare(old: str, new: str) -> int:
    """Tell which verdicts and packages changed from run OLD to run NEW.

    Exit status 1 if NEW has a finding that OLD has not, else 0.

    \b
    Example:
      harness compare runs/20261122-040020-df54 runs/20261122-040248-ba44
    """
    found = compared(load_run(find_run(old)), load_run(find_run(new)))
    render_comparison(terminal.make_console(), found)
    return int(any(change.became_finding for change in found.verdicts))
