"""Saved states: memory and disk of a guest, shared by every worker and by later runs.

A directory a state, named by its key: the hash of everything that made it.  It is written
aside and renamed, so a state that exists was written whole; it is checked before use, because
disks and people damage files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import msgspec
from filelock import BaseFileLock, FileLock

from harness.hypervisor import owners

MEMORY, DISK, SEED, META = "memory.save", "disk.qcow2", "seed.iso", "state.json"
NVRAM = "nvram.fd"  # the variables of UEFI; not of every guest
LOGS = "logs"  # what was noted while the state was made; not needed to restore it
WORKSPACE = ".new-"  # and the process that writes in it


class Written(TypedDict):
    """What was written to a file: bytes, and their digest as hexadecimal text."""

    size: int
    sha256: str


@dataclass(frozen=True)
class SavedState:
    """``parent`` is the key of the state (or the digest of the image) whose disk lies below."""

    key: str
    directory: Path
    name: str
    cell: str
    parent: str
    uuid: str
    created: float
    extra: Mapping[str, Any]
    files: Mapping[str, Written]

    @property
    def memory(self) -> Path:
        return self.directory / MEMORY

    @property
    def disk(self) -> Path:
        return self.directory / DISK

    @property
    def seed(self) -> Path:
        return self.directory / SEED

    @property
    def nvram(self) -> Path | None:
        return self.directory / NVRAM if NVRAM in self.files else None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(
            path.stat().st_blocks * 512 for path in self.directory.iterdir() if path.is_file()
        )

    @property
    def used(self) -> float:
        """When it was last restored, in seconds since the epoch."""
        try:
            # Not the time of access: whoever looks at the record changes that (relatime).
            return (self.directory / META).stat().st_mtime
        except OSError:
            return 0.0


class StateStore:
    """The saved states below one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._verified: dict[Path, tuple[int, ...]] = {}

    def lock(self, key: str) -> BaseFileLock:
        """Held while a state is made, so that it is made once however many ask."""
        return FileLock(self.directory / f".{key}.lock")

    def get(self, key: str) -> SavedState | None:
        """The state *key*, or None where there is none that its own record vouches for."""
        return _load(self.directory / key)

    def all(self) -> list[SavedState]:
        found = (_load(path) for path in sorted(self.directory.iterdir()) if path.is_dir())
        return [state for state in found if state is not None]

    def damage(self, state: SavedState, *, thorough: bool) -> str:
        """What is wrong with the files of *state*; empty for nothing.

        Sizes always; contents (SHA-256, about two seconds a gigabyte) when *thorough*.
        """
        return self._damage(state, tuple(state.files) if thorough else ())

    def weakest(self, state: SavedState) -> tuple[SavedState, str]:
        """Of *state*, every byte of it, and the disks that lie below its own, the first state
        that is damaged, and how; *state* and nothing where all are whole."""
        current, why = state, self.damage(state, thorough=True)
        while not why:
            below = self.get(current.parent)
            if below is None:
                return state, ""
            current, why = below, self._damage(below, (DISK,))
        return current, why

    def _damage(self, state: SavedState, contents: Collection[str]) -> str:
        """*contents* are the files to read, unless this object has read these very ones."""
        for name, record in state.files.items():
            path = state.directory / name
            try:
                seen = _fingerprint(path)
                if seen[0] != record["size"]:
                    return f"{name} has {seen[0]} bytes, {record['size']} were written"
                if name in contents and self._verified.get(path) != seen:
                    if digest(path) != record["sha256"]:
                        return f"{name} differs from what was written"
                    self._verified[path] = seen
            except FileNotFoundError:
                return f"{name} is gone"
            except OSError as error:
                return f"{name} cannot be read: {error.strerror}"
        return ""

    def touch(self, state: SavedState) -> None:
        """Note a use, for eviction by age."""
        os.utime(state.directory / META)

    def workspace(self) -> Path:
        """A directory to write a state in; :meth:`publish` renames it."""
        self.sweep()
        path = self.directory / f"{WORKSPACE}{owners.me()}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def publish(
        self, workspace: Path, *, key: str, name: str, cell: str, parent: str, uuid: str,
        extra: Mapping[str, Any],
    ) -> SavedState:  # fmt: skip
        """Record and rename *workspace* (with memory, disk, seed and perhaps the variables of UEFI
        in it) to the state *key*."""
        files = {
            item: {"size": (workspace / item).stat().st_size, "sha256": digest(workspace / item)}
            for item in (MEMORY, DISK, SEED, NVRAM)
            if item != NVRAM or (workspace / item).exists()
        }
        record = {
            "key": key, "name": name, "cell": cell, "parent": parent, "uuid": uuid,
            "created": time.time(), "extra": dict(extra), "files": files,
        }  # fmt: skip
        (workspace / META).write_text(json.dumps(record, indent=1))
        target = self.directory / key
        shutil.rmtree(target, ignore_errors=True)
        workspace.rename(target)
        state = _load(target)
        assert state is not None
        self._verified.update({target / item: _fingerprint(target / item) for item in files})
        return state

    def remove(self, key: str) -> int:
        """Remove *key* and every state on top of it.  Returns how many went."""
        gone = 0
        for state in self.all():
            if state.parent == key:
                gone += self.remove(state.key)
        target = self.directory / key
        if target.exists():
            shutil.rmtree(target, ignore_errors=True)
            gone += 1
        return gone

    def sweep(self) -> int:
        """Remove workspaces whose writer is gone.  Returns how many went."""
        gone = 0
        for path in self.directory.glob(f"{WORKSPACE}*"):
            try:
                age = time.time() - path.stat().st_mtime
            except OSError:  # published, or swept by another
                continue
            if not owners.lives(path.name.removeprefix(WORKSPACE), age):
                shutil.rmtree(path, ignore_errors=True)
                gone += 1
        return gone

    def evict(
        self, *, max_age: float, max_bytes: int, keep: frozenset[str] = frozenset()
    ) -> list[str]:
        """Remove states unused for *max_age* seconds, then the longest unused until all fit in
        *max_bytes*.  States in *keep* and those below them stay.  Returns the removed keys."""
        states = {state.key: state for state in self.all()}
        needed = set(keep)
        for key in keep:
            current = states.get(key)
            while current is not None:
                needed.add(current.key)
                current = states.get(current.parent)
        used = {key: state.used for key, state in states.items()}
        for state in states.values():  # a parent is used whenever a child is
            current = states.get(state.parent)
            while current is not None:
                used[current.key] = max(used[current.key], used[state.key])
                current = states.get(current.parent)
        total = sum(state.size for state in states.values())
        removed: list[str] = []
        # Children before parents at equal age: `used` of a parent is never below a child's.
        depth = {key: _depth(state, states) for key, state in states.items()}
        for key in sorted(states, key=lambda k: (used[k], -depth[k])):
            if key in needed or key in removed:
                continue
            if time.time() - used[key] > max_age or total > max_bytes:
                total -= states[key].size
                self.remove(key)
                removed.append(key)
        return removed


def _depth(state: SavedState, states: Mapping[str, SavedState]) -> int:
    depth, current = 0, states.get(state.parent)
    while current is not None:
        depth, current = depth + 1, states.get(current.parent)
    return depth


def _fingerprint(path: Path) -> tuple[int, ...]:
    """Its size in bytes, and what else changes with a file."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _load(directory: Path) -> SavedState | None:
    """None also for a copy of a state under another name: what is kept and removed goes by it."""
    try:
        record = msgspec.json.decode((directory / META).read_bytes(), type=dict[str, Any])
        state = msgspec.convert({**record, "directory": directory}, SavedState)
    except (OSError, ValueError, RecursionError):  # msgspec's are of ValueError
        return None
    return state if state.key == directory.name else None


def digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
