"""All distros, and the matrix they make."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from traceback import extract_tb

from harness import distros
from harness.distros.base import Distro
from harness.errors import UsageError
from harness.matrix import ARCHES, EMULATOR_PACKAGES, Cell, Support

IMAGE_ALONE = (
    "its image is in the catalogue, and nothing in harness/distros tells the rest "
    "(docs/adding-a-distro.md)"
)

# Why a cell cannot boot on this machine; empty where it can.
Obstacle = Callable[[Distro, str], str]


@cache
def all_distros() -> tuple[Distro, ...]:
    """The ``DISTROS`` of every module beside this one, by the modules' names.

    Raises :class:`UsageError` for what is wrong in one of them.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(distros.__path__))
    found = tuple(distro for name in names for distro in _written(name))
    ids: set[str] = set()
    for distro in found:
        _check(distro)
        if distro.id in ids:
            raise UsageError(f"{distro.id} is there twice in harness/distros")
        ids.add(distro.id)
    return found


def _written(name: str) -> tuple[Distro, ...]:
    path = Path(distros.__path__[0], f"{name}.py")
    try:
        found = getattr(import_module(f"{distros.__name__}.{name}"), "DISTROS", ())
    except Exception as error:  # whatever somebody's first try at a distro is wrong in
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("harness"):
            raise  # a library
        lines = [at.lineno for at in extract_tb(error.__traceback__) if at.filename == str(path)]
        line = f":{lines[-1]}" if lines else ""
        raise UsageError(f"{path}{line}: {type(error).__name__}: {error}",
                         hint="docs/adding-a-distro.md tells how one is written") from error
    if not isinstance(found, tuple) or not all(isinstance(one, Distro) for one in found):
        raise UsageError(f"{path}: DISTROS is no tuple of Distro",
                         hint="a tuple of one is written DISTROS = (ONE,)")  # fmt: skip
    return found


def _check(distro: Distro) -> None:
    """Raise :class:`UsageError` for an architecture that would never be a row of the matrix, and
    for a name that is no text."""
    for field in ("name", "release", "title"):
        if not isinstance(value := getattr(distro, field), str):
            raise UsageError(f"{distro.id}: {field}: {value!r} is no text; write {str(value)!r}")
    for field in ("arches", "recipe_arches", "unsupported"):
        for arch in getattr(distro, field):
            if arch not in ARCHES:
                raise UsageError(f"{distro.id}: {field}: there is no architecture {arch!r};"
                                 f" known: {', '.join(ARCHES)}")  # fmt: skip


def find(name: str, release: str) -> Distro:
    for distro in all_distros():
        if (distro.name, distro.release) == (name, release):
            return distro
    known = ", ".join(distro.id for distro in all_distros())
    raise UsageError(
        f"there is no distro {name}-{release}",
        hint=f"known distros: {known}",
        command="harness matrix",
    )


def describes(cell: Cell) -> bool:
    """Whether the distro of *cell* is known; of a catalogued image it need not be."""
    return any((one.name, one.release) == (cell.distro, cell.release) for one in all_distros())


def of(cell: Cell) -> Distro:
    distro = find(cell.distro, cell.release)
    return distro.as_twin() if cell.twin else distro


def nothing_missing(distro: Distro, arch: str) -> str:
    return ""


def support(
    distro: Distro, arch: str, obstacle: Obstacle = nothing_missing, mode: str = ""
) -> Support:
    """Whether a cell of the distro can boot.  ``obstacle`` speaks for the machine: no emulator
    for the architecture, say."""
    cell = Cell(distro.name, distro.release, arch, mode=mode)
    row = partial(Support, cell, twinned=distro.twin is not None)
    reason = distro.unsupported.get(arch) or distro.mode_of(cell).unsupported
    if reason:
        return row("unsupported", reason)
    if arch not in EMULATOR_PACKAGES:
        return row("unreachable", f"the harness does not know machines of {arch}")
    if arch not in distro.arches:
        return row("unreachable", f"{distro.title} has no image for {arch}")
    if not distro.recipe:
        return row("unreachable", distro.unreachable)
    if arch not in distro.recipe_arches:
        reason = f"the image recipe {distro.recipe} does not build {arch} yet"
        return row("unreachable", reason)
    if reason := obstacle(distro, arch):
        return row("unreachable", reason)
    return row("available", "", source="built")


def supports(
    obstacle: Obstacle = nothing_missing, catalogued: Iterable[str] = ()
) -> list[Support]:
    """Every square of the matrix, in the order of distros and architectures.  Of the *catalogued*
    cells (their ids) those follow of which nothing but an image is known."""
    rows = [
        support(distro, arch, obstacle, mode)
        for distro in all_distros()
        for arch in ARCHES
        for mode in ("", *(() if arch in distro.unsupported else distro.modes))
    ]
    for one in catalogued:
        name, _, arch = one.partition("/")
        distro, _, release = name.partition("-")
        cell = Cell(distro, release, arch)
        if not describes(cell):
            rows.append(Support(cell, "unreachable", IMAGE_ALONE))
    return rows
