"""run.json: written again after every row, so that a killed run can still be read."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.results.model import Row
from harness.results.run import CellInfo, Run, RunInfo
from harness.results.summary import counts

SCHEMA_VERSION = 1
SCHEMA = Path(__file__).with_name("schema.json")
FILE = "run.json"
_ANOTHER = "name another run, or remove this one"


class RunStore:
    """Keeps one run in ``directory``, which is made if need be.

    Every change replaces run.json in one step: a reader sees the old or the new document, never
    half of one.  Until :meth:`finish` the document says ``"complete": false``.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.path = directory / FILE
        self._run: Run | None = None
        self._lock = threading.Lock()

    @property
    def run(self) -> Run:
        """The run so far."""
        if self._run is None:
            raise RuntimeError("RunStore.begin() comes first")
        return self._run

    def begin(self, info: RunInfo) -> None:
        """Start the run.  A directory that already holds one is refused."""
        if self.path.exists():
            raise UsageError(f"{self.path}: there is a run already", hint="choose another one")
        with self._lock:
            self._write(Run(info, counts=counts(())))

    def add_cell(self, cell: CellInfo) -> None:
        """Record a cell, or what has become known about it since."""
        with self._lock:
            others = tuple(c for c in self.run.cells if c.cell != cell.cell)
            self._write(replace(self.run, cells=(*others, cell)))

    def add_rows(self, *rows: Row) -> None:
        """Record decided claims."""
        with self._lock:
            every = (*self.run.rows, *rows)
            self._write(replace(self.run, rows=every, counts=counts(every)))

    def add_suspects(self, cell: str, state: str, suspects: tuple[str, ...]) -> None:
        """Give the findings of *cell* that started from *state* what may be at fault."""
        with self._lock:
            rows = tuple(
                replace(row, suspects=suspects)
                if row.verdict.finding and (row.cell, row.state) == (cell, state)
                else row
                for row in self.run.rows
            )
            self._write(replace(self.run, rows=rows))

    def finish(self, exit_status: int, *, finished: str = "") -> Run:
        """Close the run; ``finished`` defaults to now."""
        with self._lock:
            run = replace(
                self.run,
                finished=finished or now(),
                exit_status=exit_status,
                complete=True,
            )
            self._write(run, sync=True)
            return run

    def _write(self, run: Run, *, sync: bool = False) -> None:
        document = {"schema": SCHEMA_VERSION, **run.to_json()}
        # Serialized first: what cannot be written must not cost the document that is there.
        text = json.dumps(document, indent=1) + "\n"
        temporary = self.path.with_name(FILE + ".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(self.path)
        self._run = run


def now() -> str:
    """The time as run.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_run(path: Path) -> Run:
    """The run of a run.json, or of the directory that holds one."""
    file = path / FILE if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{file}: there is no such run", command="harness report") from None
    except (OSError, ValueError, RecursionError) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise UsageError(f"{file}: cannot be read: {why}", hint=_ANOTHER) from error
    if not isinstance(data, dict) or "schema" not in data:
        raise UsageError(f"{file}: not a run: it has no `schema`", hint=_ANOTHER)
    if (version := data["schema"]) != SCHEMA_VERSION:
        raise UsageError(
            f"{file}: schema version {version!r}, but this harness reads {SCHEMA_VERSION}",
            hint="read it with the harness that wrote it (harness_version in the file)",
        )
    try:
        return Run.from_json(data)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a surrogate pair
        raise UsageError(f"{file}: not a run: {error}", hint=_ANOTHER) from error
