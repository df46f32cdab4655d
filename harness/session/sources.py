"""The matrix, with the source of each cell's image: what the catalogue, the recipes and the
cache have to offer, and which of it is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from harness.image.choose import Choice, Standing, choose
from harness.image.upstream.catalogue import Upstream
from harness.image.upstream.fetch import cached
from harness.matrix import Cell, Support

# A fetched disk has a boot loader, and guests are booted directly with a kernel so far.
BOOTS_FIRMWARE = False
NO_TWIN = Standing("missing", "none is written")


class Sourced(NamedTuple):
    """A row of the matrix, and why its image is the one it is."""

    row: Support
    why: str


def sourced(
    rows: Iterable[Support], catalogue: Mapping[str, Upstream], cache: Path, wanted: str = "auto",
    *, boots_firmware: bool = BOOTS_FIRMWARE,
) -> list[Sourced]:  # fmt: skip
    """Each row with the source chosen for it; one that has none is ``unreachable``, and says
    why of every source that was looked at."""
    return [_one(row, catalogue, cache, wanted, boots_firmware) for row in rows]


def _one(
    row: Support, catalogue: Mapping[str, Upstream], cache: Path, wanted: str, boots: bool
) -> Sourced:
    if row.status == "unsupported":
        return Sourced(row, "")
    choice = choose(wanted, {
        "upstream": upstream(row.cell, catalogue, cache, boots_firmware=boots),
        "built": _built(row),
        "twin": NO_TWIN,
    })  # fmt: skip
    return Sourced(_with(row, choice), choice.reason if choice.source else "")


def _with(row: Support, choice: Choice) -> Support:
    if choice.source:
        return replace(row, status="available", reason="", source=choice.source)
    return replace(row, status="unreachable", reason=choice.reason, source="")


def _built(row: Support) -> Standing:
    if row.status == "available":
        return Standing("ready", "built from the distro's packages")
    return Standing("missing", row.reason)


def upstream(
    cell: Cell, catalogue: Mapping[str, Upstream], cache: Path, *,
    boots_firmware: bool = BOOTS_FIRMWARE,
) -> Standing:  # fmt: skip
    """What there is of the distro's own image of a cell."""
    entry = catalogue.get(f"{cell.distro}-{cell.release}/{cell.arch}")
    if entry is None:
        return Standing("missing", "not in the catalogue")
    if entry.fetchable:
        return Standing("missing", entry.fetchable)
    image = cached(entry, cache)
    if image is None:
        return Standing("fetchable", f"not fetched (harness image fetch {entry.cell})")
    if not boots_firmware:
        return Standing("missing", "fetched, but a disk with a boot loader cannot be booted yet")
    return Standing("ready", f"the distro's own, {image.origin.trust if image.origin else ''}")
