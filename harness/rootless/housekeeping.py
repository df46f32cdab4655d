"""Keeping the cache small: what is old, what is too much, and what dead processes left.

Nothing that a running guest uses is removed.  A run that meets a state that is gone makes it
again, so the worst that this can do is cost time.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import Timeout

from harness.hypervisor.leases import Leases, qemu_processes
from harness.hypervisor.saved import SavedState, StateStore
from harness.image.model import Image
from harness.image.store import list_images
from harness.image.twins import cached
from harness.paths import Cache
from harness.rootless.lab import STATE_MAX_AGE, STATE_MAX_BYTES, Lab
from harness.rootless.options import Options

QUIET = 3600.0  # seconds; what was used since is left to the run that uses it
STARTING = 600.0  # seconds; of a guest so young the lease may be newer than the list of them
SHELLS = "shells"  # logs of `harness shell`


@contextlib.contextmanager
def passing(options: Options) -> Iterator[Lab]:
    """A lab of which no guest stays."""
    lab = Lab(options)
    try:
        yield lab
    finally:
        try:
            lab.close()
        finally:  # also where a second Ctrl-C cut that short
            lab.leases.reap(run=options.run_id)


@dataclass(frozen=True)
class Removed:
    """What went, by name."""

    states: tuple[str, ...] = ()
    guests: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    unfinished: int = 0

    def __str__(self) -> str:
        """``saved states: 3; logs: 1``; empty for nothing."""
        numbers = {
            "saved states": len(self.states), "unfinished states": self.unfinished,
            "directories of ended guests": len(self.guests), "logs": len(self.logs),
            "packages of twins": len(self.twins),
        }  # fmt: skip
        return "; ".join(f"{what}: {number}" for what, number in numbers.items() if number)


def keep_house(
    cache: Cache, *, max_age: float = STATE_MAX_AGE, max_bytes: int | None = None,
    quiet: float = QUIET,
) -> Removed:  # fmt: skip
    """Remove states unused for *max_age* seconds, the longest unused until *max_bytes* (of
    itself :func:`room`) hold the rest, those that nothing can restore any more, packages of twins
    that nobody used for so long, and what dead processes left."""
    store = StateStore(cache.states)
    max_bytes = room(cache) if max_bytes is None else max_bytes
    unfinished = store.sweep()
    with _hold(store, cache, quiet) as kept:
        before = _keys(store)
        images = list_images(cache.images)
        for state in store.all():
            if state.key not in kept and orphaned(state, store, images):
                store.remove(state.key)
        store.evict(max_age=max_age, max_bytes=max_bytes, keep=kept)
        gone = [*sorted(before - _keys(store)), *_unreadable(store, cache, quiet)]
    return Removed(
        tuple(gone), tuple(_abandoned(cache)), tuple(_old_logs(cache, max_age)),
        tuple(cached.evict(cache.twins, max(max_age, quiet))), unfinished,
    )  # fmt: skip


def room(cache: Cache) -> int:
    """Bytes that saved states may hold: 40 GiB, or half of what the disk has for them."""
    held = sum(state.size for state in StateStore(cache.states).all())
    return min(STATE_MAX_BYTES, (held + shutil.disk_usage(cache.root).free) // 2)


def clear_states(cache: Cache) -> tuple[list[SavedState], list[SavedState]]:
    """Remove every state that no running guest uses.  Returns those that went, and those that
    stayed."""
    store = StateStore(cache.states)
    store.sweep()
    with _hold(store, cache, 0.0) as kept:
        before = store.all()
        for state in before:
            if state.key not in kept:
                store.remove(state.key)
        _unreadable(store, cache, 0.0)
    left = _keys(store)
    return [s for s in before if s.key not in left], [s for s in before if s.key in left]


def orphaned(state: SavedState, store: StateStore, images: list[Image]) -> bool:
    """Whether the image or the state below *state* is gone, so that nothing can restore it."""
    if state.parent.startswith("image:"):
        return state.parent.removeprefix("image:") not in {image.digest for image in images}
    return store.get(state.parent) is None


def used_files(cache: Cache) -> str:
    """The command lines of every QEMU that uses a file of *cache*, as one text."""
    lines = []
    for process in qemu_processes(str(cache.root)):
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return "\n".join(lines)


@contextlib.contextmanager
def _hold(store: StateStore, cache: Cache, quiet: float) -> Iterator[frozenset[str]]:
    """Keep others from making the states that may go; yields the keys of those that may not."""
    lines = used_files(cache)
    states = {state.key: state for state in store.all()}
    kept: set[str] = set()
    with contextlib.ExitStack() as stack:
        for state in states.values():
            try:
                stack.enter_context(store.lock(state.key).acquire(timeout=0))
            except Timeout:
                kept.add(state.key)
            if f"{state.directory}/" in lines or time.time() - state.used < quiet:
                kept.add(state.key)
        for key in tuple(kept):  # and all that lies below them
            below = states.get(states[key].parent)
            while below is not None:
                kept.add(below.key)
                below = states.get(below.parent)
        yield frozenset(kept)


def _keys(store: StateStore) -> set[str]:
    return {state.key for state in store.all()}


def _unreadable(store: StateStore, cache: Cache, quiet: float) -> list[str]:
    """Remove states whose record is damaged: no other look at the store shows them."""
    gone = []
    for path in store.directory.glob("[!.]*"):
        if not path.is_dir() or store.get(path.name) is not None or _age(path) < quiet:
            continue
        if f"{path}/" not in used_files(cache):
            shutil.rmtree(path, ignore_errors=True)
            gone.append(path.name)
    return gone


def _abandoned(cache: Cache) -> Iterator[str]:
    """Remove guests' directories that no lease names."""
    leased = {lease.name for lease in Leases(cache.leases).all()}
    for path in cache.guests.glob("*"):
        if path.name in leased or _age(path) < STARTING:
            continue
        if not any(qemu_processes(str(path))):
            shutil.rmtree(path, ignore_errors=True)
            yield path.name


def _old_logs(cache: Cache, max_age: float) -> Iterator[str]:
    for path in (cache.root / SHELLS).glob("*"):
        if _age(path) > max_age:
            shutil.rmtree(path, ignore_errors=True)
            yield path.name


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
