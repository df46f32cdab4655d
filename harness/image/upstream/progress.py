"""How far a download is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

Say = Callable[[str], None]
Advance = Callable[[int], None]
INTERVAL = 15.0  # seconds between lines


@contextmanager
def meter(name: str, total: int | None, have: int, say: Say) -> Iterator[Advance]:
    """Call the result with the number of bytes that have come."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
                   TransferSpeedColumn(), TimeRemainingColumn())  # fmt: skip
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=total, completed=have)
            yield lambda count: bar.advance(task, count)
        return
    done, spoke = have, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, spoke
        done += count
        if time.monotonic() - spoke >= INTERVAL:
            spoke = time.monotonic()
            say(f"{name}: {how_far(done, total)}")

    say(f"{name}: downloading, {how_far(have, total)}")
    yield advance


def how_far(done: int, total: int | None) -> str:
    if not total:
        return f"{done >> 20} MiB"
    return f"{done >> 20} of {total >> 20} MiB, {100 * done // total}%"
