"""What is refused before a run begins, and not after hours of guests."""
# ruff: noqa: T201

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.hypervisor.connection import EMBED
from harness.paths import cache, project, runs
from harness.results.store import FILE
from harness.rootless.housekeeping import SHELLS
from harness.session import engines, junit, options
from harness.session.run import new_id


def check(config: pytest.Config, *, worker: bool) -> None:
    """Raise :class:`UsageError` for options that no run can have.  A *worker* leaves to its
    controller what need be asked once."""
    options.hooks(config)
    options.installer(config)
    options.parse_induced(config.getoption("--induce"))
    options.withheld(config)
    if not worker:
        _workers(config)
        _run_dir(config)
    if any(config.getoption(name) for name in ("--cell", "--distro", "--arch")):
        options.runnable(config)
    elif junit.asked(config, project() / "scenarios"):
        options.selected(config)  # a cache that cannot be is told once, not for every file
    if worker or config.option.collectonly or config.option.help:
        return
    if junit.asked(config, project() / "scenarios"):
        _bootable(config)
    _engine(config)


def _bootable(config: pytest.Config) -> None:
    """Raise :class:`UsageError` where nothing would be run although it should be: a run that skips
    everything for want of an emulator must not look like one that found nothing."""
    rows = options.selected(config)
    lacking = [row for row in rows if row.status == "unreachable"]
    if lacking and not any(row.status == "available" for row in rows):
        raise options.none_can_boot(lacking)


def _engine(config: pytest.Config) -> None:
    """Raise :class:`UsageError` where a cell's archive lacks the engine's version it names.

    Asks a guest at the state `booted`, which the session is about to need anyway.
    """
    cells = [cell for cell in options.runnable(config) if cell.engine]
    if cells:
        run_id = new_id()
        folder = cache(config.getoption("--cache-dir")).root / SHELLS / run_id
        lab = options.of_lab(config, run_id, folder, lambda text: print(text, file=sys.stderr))
        engines.check(lab, cells)


def _workers(config: pytest.Config) -> None:
    """Raise :class:`UsageError` for a number of workers that there cannot be."""
    number = config.getoption("numprocesses", None)
    if isinstance(number, int) and number < 0:
        raise UsageError(f"-n {number}: expected a number of guests at once, or 0 for one in this"
                         " process")  # fmt: skip
    if isinstance(number, int) and number > 1 and config.getoption("--libvirt-uri") != EMBED:
        raise UsageError(f"-n {number} with --libvirt-uri: guests of one state are one machine to a"
                         " libvirt that is shared; use -n 1, or the embedded driver")  # fmt: skip


def _run_dir(config: pytest.Config) -> None:
    """Raise :class:`UsageError` where ``--run-dir`` holds a run, which would be lost, or cannot
    hold one."""
    directory = config.getoption("--run-dir")
    if not directory:
        return
    place = runs(directory)
    if (place / FILE).exists():
        raise UsageError(f"{directory}: there is a run already", hint="choose another --run-dir",
                         command=f"harness report {shlex.quote(str(place))}")  # fmt: skip
    try:
        _try(place)
    except OSError as exc:
        raise UsageError(f"--run-dir {directory}: no run can be kept there: {exc.strerror or exc}",
                         hint="choose another --run-dir") from None  # fmt: skip


def _try(directory: Path) -> None:
    """Write there, and leave nothing behind.  Raises OSError where that is not possible."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir()
            made.append(path)
        with tempfile.TemporaryFile(dir=directory):
            pass
    finally:
        for path in reversed(made):
            path.rmdir()
