"""Which versions of an engine's package there are: asked of a guest of the cell itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from harness.distros import registry
from harness.errors import UsageError
from harness.matrix import Cell
from harness.packages import PackageManager, manager
from harness.rootless import archive
from harness.rootless.housekeeping import passing
from harness.rootless.options import Options


def versions(options: Options, cell: Cell) -> tuple[str, ...]:
    """Of the engine's package in the archive of *cell*, newest first."""
    with _manager(options, cell) as packages:
        return packages.versions(registry.of(cell).engine_package)


def check(options: Options, cells: Iterable[Cell]) -> None:
    """Raise :class:`UsageError`, a line a cell, where an engine's version cannot be had."""
    wrong = []
    for cell in cells:
        with _manager(options, cell) as packages:
            try:
                archive.pinned(packages, cell, cell.engine)
            except UsageError as error:
                wrong.append(error)
    if wrong:
        raise UsageError("\n".join(error.what for error in wrong), command=wrong[0].command)


@contextlib.contextmanager
def _manager(options: Options, cell: Cell) -> Iterator[PackageManager]:
    """The package manager of a guest that is there for the question alone."""
    distro = registry.of(cell)
    with passing(options) as lab:
        guest = lab.guest(cell, distro, "booted")
        yield manager(distro.package_manager, guest.root)
