"""Two runs side by side: which verdicts changed, and what changed under them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from harness.results.ledger import claim_order
from harness.results.model import Verdict
from harness.results.run import CellInfo, Run
from harness.results.summary import merge
from harness.results.text import printable


@dataclass(frozen=True)
class VerdictChange:
    """One claim, aspect, cell and scenario; ``None`` where a run did not decide it."""

    claim: str
    aspect: str
    cell: str
    scenario: str
    old: Verdict | None
    new: Verdict | None

    @property
    def became_finding(self) -> bool:
        """Whether the newer run found something here that the older did not."""
        return bool(self.new and self.new.finding and not (self.old and self.old.finding))


@dataclass(frozen=True)
class PackageChange:
    """One package on one cell; "" where it was not installed.  ``image`` is the cell's image,
    with the start of its digest."""

    cell: str
    package: str
    old: str
    new: str


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs.  Only cells that both booted have package changes."""

    old: str  # run ids
    new: str
    verdicts: tuple[VerdictChange, ...]
    packages: tuple[PackageChange, ...]
    complete: bool  # both runs finished


def compare(old: Run, new: Run) -> Comparison:
    """What changed from ``old`` to ``new``, findings first."""
    before, after = _verdicts(old), _verdicts(new)
    changes = [
        VerdictChange(*key, before.get(key), after.get(key))
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    ]
    changes.sort(key=lambda c: (not c.became_finding, claim_order(c.claim), c.aspect, c.cell))
    cells = {cell.cell: cell for cell in old.cells}
    packages = tuple(
        change
        for cell in new.cells
        if cell.cell in cells
        for change in _packages(cells[cell.cell], cell)
    )
    return Comparison(
        old.info.id, new.info.id, tuple(changes), packages, old.complete and new.complete
    )


def render_comparison(console: Console, comparison: Comparison) -> None:
    """A line a change."""

    def say(text: str) -> None:
        console.print(Text(printable(text)), soft_wrap=True)

    say(f"{comparison.old} -> {comparison.new}")
    if not comparison.complete:
        say("one of the runs did not finish: what it lacks counts as not decided")
    for v in comparison.verdicts:
        rule = f"{v.claim}.{v.aspect}" if v.aspect else v.claim
        said = f"{v.old or 'not decided'} -> {v.new or 'not decided'}"
        say(f"verdict  {rule}  {v.cell}  {v.scenario}: {said}")
    for p in comparison.packages:
        say(f"package  {p.cell}  {p.package}: {p.old or 'absent'} -> {p.new or 'absent'}")
    if not comparison.verdicts:
        say("no verdict changed")
    if not comparison.packages:
        say("no package changed")


_Key = tuple[str, str, str, str]


def _verdicts(run: Run) -> dict[_Key, Verdict]:
    """A claim that was decided and also met a testbed error counts as decided."""
    rows = sorted(merge(run.rows), key=lambda row: row.verdict is not Verdict.TESTBED_ERROR)
    return {(row.claim, row.aspect, row.cell, row.scenario): row.verdict for row in rows}


def _packages(old: CellInfo, new: CellInfo) -> Iterator[PackageChange]:
    if old.image and new.image and old.image.digest != new.image.digest:
        yield PackageChange(new.cell, "image", _image(old), _image(new))
    if not old.packages or not new.packages:
        return  # one of them never got as far as listing its packages
    for name in sorted({*old.packages, *new.packages}):
        before, after = old.packages.get(name, ""), new.packages.get(name, "")
        if before != after:
            yield PackageChange(new.cell, name, before, after)


def _image(cell: CellInfo) -> str:
    assert cell.image is not None
    digest = cell.image.digest.removeprefix("sha256:")
    return f"{cell.image.name} {digest[:12]} ({cell.image.source})"
