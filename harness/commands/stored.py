"""Finding what is stored: runs, and the facts that runs and saved states hold."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.commands.face import say
from harness.errors import UsageError
from harness.guest.facts import Facts
from harness.hypervisor.saved import SavedState, StateStore
from harness.names import MOST, nearest
from harness.paths import cache, expanded, runs
from harness.results.run import Run
from harness.results.store import FILE, load_run
from harness.results.text import printable
from harness.session.reproduce import altering

RUNGS = ("daemon", "prepared", "booted")  # the one that most rules speak of first


@dataclass(frozen=True)
class Probed:
    """Facts of a guest, and where they were found: in a ``run`` (by its id) or in a saved
    ``state`` (by its name).  ``altered`` is what made the guest other than its distro is."""

    cell: str
    facts: Facts
    kind: str
    name: str
    when: str  # ISO 8601
    altered: str = ""

    def __str__(self) -> str:
        where = "run" if self.kind == "run" else "the saved state"
        altered = f", with {self.altered}" if self.altered else ""
        return f"{where} {self.name} of {day(self.when)}{altered}"


def day(when: str) -> str:
    """``2026-11-22 04:10``, from a time as run.json has it."""
    return when[:16].replace("T", " ")


def runs_at(explicit: str | None) -> Path:
    """The directory of stored runs that ``--runs`` names, or that of whoever names none."""
    where = runs(explicit)
    if explicit is not None and not os.path.isdir(where):  # noqa: PTH112  # Path's may raise
        raise UsageError(f"--runs {explicit}: there is no such directory")
    return where


def stored_runs(where: Path) -> list[Run]:
    """The readable runs below *where*, newest first.  Of the others one is told."""
    found: list[Run] = []
    passed: list[UsageError] = []
    for path in newest(where):
        try:
            found.append(load_run(path))
        except UsageError as error:  # of another version, or half a disk ago
            passed.append(error)
    if passed:
        more = f"; and {len(passed) - 1} more" if len(passed) > 1 else ""
        say(printable(f"passed over {passed[0].what}{more}"))
    return found


def newest(where: Path) -> list[Path]:
    """Directories that hold a run, newest first: their names begin with the time."""
    return sorted((path.parent for path in where.glob(f"*/{FILE}")), reverse=True)


def probed_in_runs(stored: Iterable[Run]) -> Iterator[Probed]:
    """The facts of *stored* runs, in their order."""
    for run in stored:
        for info in run.cells:
            facts = _read(info.facts)
            if facts is not None:
                altered = altering(run.info.command)
                yield Probed(info.cell, facts, "run", run.info.id, run.info.started, altered)


def probed_in_states(cache_dir: str | None) -> list[Probed]:
    """The facts of saved states: unaltered guests first, then by rung, then the newest."""
    found = []
    for state in StateStore(cache(cache_dir).states).all():
        facts = _read(state.extra.get("facts", {}))
        if facts is not None:
            when = datetime.fromtimestamp(state.created, UTC).isoformat(timespec="seconds")
            found.append(Probed(state.cell, facts, "state", state.name, when, altered(state)))
    found.sort(key=lambda p: p.when, reverse=True)
    found.sort(key=lambda p: (bool(p.altered), RUNGS.index(p.name) if p.name in RUNGS else 9))
    return found


def altered(state: SavedState) -> str:
    """The options that made *state* other than its distro is; of scripts, the names alone."""
    words = [f"--hook {name}" for name in state.extra.get("hooks", ())]
    words += [f"--induce {shlex.quote(one)}" for one in state.extra.get("induced", ())]
    words += [f"--withhold {name}" for name in state.extra.get("withheld", ())]
    arguments = state.extra.get("kernel_arguments", "")
    return " ".join([*words, *([f"--kernel-args '{arguments}'"] if arguments else [])])


def _read(data: Mapping[str, Any]) -> Facts | None:
    """None where there are none, or another version of the harness wrote other facts."""
    try:
        return Facts.from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def find_run(name: str | None) -> Path:
    """A directory, a run.json, or the id of a run below runs/; the newest run without a name."""
    if name is None:
        found = newest(runs())
        if not found:
            raise UsageError(f"there are no runs in {runs()}", command="harness run")
        return found[0]
    try:
        for path in (expanded(name), runs() / name):
            if name and path.exists():
                return path
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    ids = [one.name for one in newest(runs())]
    near = nearest(name, ids) or ids[:MOST]
    known = f"the nearest below {runs()}: {', '.join(near)}" if near else f"none in {runs()}"
    raise UsageError(f"{name or repr(name)}: there is no such run; {known}",
                     command="harness report" if near else "harness run")  # fmt: skip
