"""Finding stored runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.errors import UsageError
from harness.paths import runs
from harness.results.run import Run
from harness.results.store import FILE, load_run


def stored_runs(where: Path) -> Iterator[Run]:
    """The readable runs below *where*, newest first."""
    for path in newest(where):
        try:
            yield load_run(path)
        except UsageError:
            continue  # of another version, or half a disk ago


def newest(where: Path) -> list[Path]:
    """Directories that hold a run, newest first: their names begin with the time."""
    return sorted((path.parent for path in where.glob(f"*/{FILE}")), reverse=True)


def find_run(name: str | None) -> Path:
    """A directory, a run.json, or the id of a run below runs/; the newest run without a name."""
    if name is None:
        found = newest(runs())
        if not found:
            raise UsageError(f"there are no runs in {runs()}", command="harness run")
        return found[0]
    path = Path(name).expanduser()
    if not path.exists() and (runs() / name).is_dir():
        return runs() / name
    return path
