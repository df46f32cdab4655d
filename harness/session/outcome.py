"""What became of a scenario: verdicts from what ended it, and what it taught of its cell."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from harness.errors import GuestRefusal, HarnessError, TestbedError
from harness.guest.session import CommandTimeout
from harness.matrix import TWIN, Cell
from harness.results.model import Row, Verdict
from harness.results.run import CellInfo, ImageInfo
from harness.results.text import printable
from harness.session import health, reproduce
from harness.session.decide import Decider, Finding, describe
from harness.session.fixtures import DECIDER, FAILED, GUEST, SESSION


def account(
    item: pytest.Item, decider: Decider, error: BaseException, report: pytest.TestReport
) -> None:
    """Turn what ended a scenario into verdicts: a refusal of the guest, or the test bed."""
    item.stash[FAILED] = True
    idle = _idle(item, error) if isinstance(error, CommandTimeout) else ""
    if idle or (isinstance(error, GuestRefusal) and report.when != "setup"):
        try:
            check_health(item, decider)
        except TestbedError as trouble:
            error = trouble
    if isinstance(error, Finding):
        report.longrepr = printable(str(error))
    elif isinstance(error, pytest.skip.Exception):
        decider.conclude(Verdict.NOT_APPLICABLE, note=str(error))
        item.stash[FAILED] = False
    elif isinstance(error, GuestRefusal) and report.when == "setup":
        # The state below is decided by the scenarios that make it; this one cannot speak.
        decider.conclude(Verdict.NOT_APPLICABLE, note=error.what)
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {error.what}")
        item.stash[FAILED] = False
    elif isinstance(error, GuestRefusal):
        if decider.facts is not None:
            for key in decider.undecided():
                decider(key, error.what, error.detail)
        decider.conclude(Verdict.VIOLATED, observed=error.what, evidence=error.detail)
        report.longrepr = printable(
            "\n".join(describe(row) for row in decider.findings()) or error.what
        )
        if not decider.findings():  # nothing of it applies to this guest
            report.outcome = "skipped"
            where = (str(item.path), item.location[1] or 0)
            report.longrepr = (*where, f"Skipped: {error.what}")
            item.stash[FAILED] = False
    elif isinstance(error, CommandTimeout) and idle:
        decider.conclude(
            Verdict.VIOLATED, observed=error.what, note=idle, evidence=error.detail,
            next_step="find what it waits for: it had nothing to do",
        )  # fmt: skip
        report.longrepr = printable(
            "\n".join(describe(row) for row in decider.findings())
        )
    else:
        if isinstance(error, HarnessError):
            report.longrepr = printable(str(error))
        broke(decider, error, _console(item))


def check_health(item: pytest.Item, decider: Decider) -> None:
    """Raise :class:`TestbedError` where the scenario's guest was not fit to show what was found."""
    guest = item.stash.get(GUEST, None)
    if guest is not None:
        health.check(guest, decider, item.config.stash[SESSION].run_dir)


def after(
    item: pytest.Item, decider: Decider, error: BaseException, report: pytest.TestReport
) -> list[Row]:
    """The row of a test bed that broke after the scenario was decided."""
    if isinstance(error, HarnessError):
        report.longrepr = printable(str(error))
    known = len(decider.rows)
    broke(decider, error, _console(item), anyway=True)
    return decider.rows[known:]


def crashed(
    report: pytest.TestReport, cells: Iterable[Cell], start: Sequence[str], chosen: Sequence[str]
) -> Row:
    """The row of a scenario on one of *cells* that has none, as it ended with its process; *start*
    and *chosen* are those of :func:`harness.session.reproduce.command`."""
    scenario, _, parameters = report.nodeid.partition("[")
    # The longest: with the engine's version where there is one.
    cell = max((cell.id for cell in cells if cell.id in parameters), key=len, default="")
    return Row(
        claim="", cell=cell, scenario=scenario, verdict=Verdict.TESTBED_ERROR,
        note=report.longreprtext.splitlines()[-1][:300],
        next_step="look for what ended it: has this machine too little memory for so many guests?",
        reproduce=reproduce.command(start, scenario, cell, chosen) if cell else "",
    )  # fmt: skip


def _console(item: pytest.Item) -> str:
    """Of the scenario's guest."""
    guest = item.stash.get(GUEST, None)
    return "" if guest is None else health.console(guest, item.config.stash[SESSION].run_dir)


def broke(
    decider: Decider, error: BaseException, log: str = "", *, anyway: bool = False
) -> None:
    """Give all that is undecided the test bed's verdict: *error* says nothing of the distro.
    *anyway*: also where nothing is."""
    note, hint, detail = health.parts(error)
    if isinstance(error, CommandTimeout):
        hint = hint or "the guest may be overloaded; look at its console and journal"
    decider.conclude(
        Verdict.TESTBED_ERROR, note=note, evidence=detail, next_step=hint, log=log, anyway=anyway
    )


def told(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, HarnessError):
        return error.what
    if isinstance(error, OSError):
        return f"{error.filename or 'the test bed'}: {error.strerror or error}"
    return f"{type(error).__name__}: {error}"


def whole(error: HarnessError | OSError) -> str:
    """An error with its next step, if it has one."""
    return str(error) if isinstance(error, HarnessError) else told(error)


def _idle(item: pytest.Item, late: CommandTimeout) -> str:
    """That the scenario's guest had nothing to do while it was waited for, or nothing."""
    guest = item.stash.get(GUEST, None)
    return "" if guest is None else guest.idle(late)


def cell_info(item: pytest.Item) -> dict[str, Any] | None:
    """What this process learned of the cell, once."""
    decider = item.stash[DECIDER]
    if item.stash.get(GUEST, None) is None or decider.facts is None:
        return None
    session = item.config.stash[SESSION]
    cell = decider.context.cell
    if (cell.id, decider.context.state) in session.told:
        return None
    session.told.add((cell.id, decider.context.state))
    image = session.lab.image(cell, decider.context.distro)
    origin = f"{image.origin.url}, {image.origin.trust}" if image.origin else ""
    if image.source == TWIN:
        origin = f"a stand-in on {image.cell}"
    return CellInfo(
        cell=cell.id, status="available", engine=decider.facts.engine,
        image=ImageInfo(image.path.name, image.digest, image.source, origin),
        packages={**image.packages, **decider.facts.packages}, facts=decider.facts.to_json(),
        emulated=cell.arch != platform.machine(),
    ).to_json()  # fmt: skip
