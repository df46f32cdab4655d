"""The matrix, with the source of each cell's image: what the catalogue, the recipes and the
cache have to offer, and which of it is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from harness.distros import registry
from harness.image import recipe
from harness.image.choose import Choice, Standing, choose
from harness.image.upstream.catalogue import Upstream
from harness.matrix import TWIN, Support
from harness.rootless import sourcing, twins


class Sourced(NamedTuple):
    """A row of the matrix, and why its image is the one it is."""

    row: Support
    why: str


def sourced(
    rows: Iterable[Support], catalogue: Mapping[str, Upstream], cache: Path, wanted: str = "auto",
    kernel_arguments: str = "",
) -> list[Sourced]:  # fmt: skip
    """Each row with the source chosen for it; one that has none is ``unreachable``, and says
    why of every source that was looked at."""
    return [_one(row, catalogue, cache, wanted, kernel_arguments) for row in rows]


def _one(
    row: Support, catalogue: Mapping[str, Upstream], cache: Path, wanted: str, arguments: str
) -> Sourced:
    if row.status == "unsupported" or not registry.describes(row.cell):
        return Sourced(row, "")
    distro = registry.of(row.cell)
    mode = distro.mode_of(row.cell).kernel_arguments
    entry = catalogue.get(sourcing.base(row.cell))
    choice = choose(wanted, {
        "upstream": sourcing.upstream(row.cell, entry, cache, f"{mode} {arguments}".strip()),
        "built": _built(row),
        "twin": twins.standing(row.cell, distro),
    })  # fmt: skip
    return Sourced(_with(row, choice), choice.reason if choice.source else "")


def _with(row: Support, choice: Choice) -> Support:
    if choice.source:
        cell = replace(row.cell, twin=choice.source == TWIN)
        return Support(cell, "available", "", choice.source)
    return replace(row, status="unreachable", reason=choice.reason, source="")


def _built(row: Support) -> Standing:
    if row.status == "available":
        recipe.load(registry.of(row.cell).recipe).on(row.cell.arch)  # is there nothing wrong in it?
        return Standing("ready", "built from the distro's packages")
    return Standing("missing", row.reason)
