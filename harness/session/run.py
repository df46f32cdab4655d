"""The run as the controlling process sees it: its directory, its store, its progress."""

from __future__ import annotations

import contextlib
import platform
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import __version__
from harness.errors import HarnessError
from harness.hypervisor import acceleration
from harness.hypervisor.connection import connect
from harness.hypervisor.leases import Leases
from harness.image import store
from harness.matrix import Support
from harness.paths import Cache
from harness.results.model import Row, Verdict
from harness.results.run import CellInfo, HostInfo, RunInfo
from harness.results.store import RunStore, now
from harness.results.summary import EXIT_TESTBED

PROGRESS = "progress.log"


def new_id() -> str:
    """Sorts by time; unique among runs that start in one second."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def append_progress(run_dir: Path, text: str) -> None:
    """Workers have no terminal: they write lines, and the controller shows them."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / PROGRESS).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


@contextlib.contextmanager
def storing() -> Iterator[None]:
    """End the session where the run cannot be kept: verdicts that nobody could read are none."""
    try:
        yield
    except OSError as error:
        pytest.exit(f"the run could not be kept: {error.filename or ''} {error.strerror or error}; "
                    "free some space, or choose another --run-dir", EXIT_TESTBED)  # fmt: skip


class ControlledRun:
    """Made lazily: a session without scenarios leaves no run."""

    def __init__(self, run_id: str, directory: Path, cache: Cache, show: Callable[[str], None]):
        self.id = run_id
        self.directory = directory
        self.cache = cache
        self.store: RunStore | None = None
        self.show = show
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, supports: Sequence[Support], accel: str, uri: str) -> None:
        """Open the store, end orphans of dead runs, start showing progress."""
        if self.store is not None:
            return
        store = RunStore(self.directory)
        store.begin(
            RunInfo(self.id, now(), tuple(sys.argv), __version__, _host(accel, uri, self.cache))
        )
        self.store = store
        for lease in Leases(self.cache.leases).reap():
            self.show(f"ended {lease.name}, left behind by a run that died")
        for support in supports:
            self.store.add_cell(CellInfo(support.cell.id, support.status, support.reason))
            if support.status == "unsupported" and not support.cell.mode:
                self.store.add_rows(
                    Row(claim="D18", cell=support.cell.id, scenario="", note=support.reason,
                        verdict=Verdict.UNSUPPORTED, observed="unsupported",
                        expected="unsupported")
                )  # fmt: skip
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        path = self.directory / PROGRESS
        offset = 0
        while True:
            stopping = self._stop.wait(0.3)
            with contextlib.suppress(OSError), path.open(encoding="utf-8") as file:
                file.seek(offset)
                for line in file.read().splitlines():
                    self.show(line)
                offset = file.tell()
            if stopping:
                return

    def stop(self) -> None:
        """End what is left of this run's guests, and the progress."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        Leases(self.cache.leases).reap(run=self.id)


def _host(accel: str, uri: str, cache: Cache) -> HostInfo:
    arch = platform.machine()
    try:
        chosen = acceleration.decide(arch, accel, store.kernel(cache.images, arch))
        versions = connect(uri, capabilities_cache=cache.root / "libvirt").versions()
    except HarnessError as error:
        return HostInfo(platform.release(), "", "", "", error.what)
    return HostInfo(
        platform.release(), versions["qemu"], versions["libvirt"], chosen.kind, chosen.reason
    )
