"""Saved states: whole or not there, checked, evicted by age and size."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from harness.hypervisor.saved import DISK, MEMORY, META, SEED, SavedState, StateStore
from tests.unit.hypervisor.test_leases import set_the_clock


def publish(
    store: StateStore, key: str, parent: str = "image:sha256:0", size: int = 100
) -> SavedState:
    workspace = store.workspace()
    for name in (MEMORY, DISK, SEED):
        (workspace / name).write_bytes(os.urandom(size))
    return store.publish(
        workspace, key=key, name="booted", cell="debian-12/x86_64", parent=parent, uuid="u",
        extra={"host_key": "k"},
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path / "states")


def test_what_is_published_is_found(store: StateStore) -> None:
    state = publish(store, "k1")
    assert store.get("k1") == state
    assert store.damage(state, thorough=True) == ""
    assert not list(store.directory.glob(".new-*"))


def test_a_truncated_file_is_damage(store: StateStore) -> None:
    state = publish(store, "k1")
    os.truncate(state.memory, 50)
    assert "50 bytes, 100 were written" in store.damage(state, thorough=False)


def test_a_flipped_byte_is_damage_to_a_thorough_look(store: StateStore) -> None:
    state = publish(store, "k1")
    data = bytearray(state.disk.read_bytes())
    data[7] ^= 1
    state.disk.write_bytes(data)
    assert store.damage(state, thorough=False) == ""
    assert "differs" in StateStore(store.directory).damage(state, thorough=True)


def test_a_missing_file_is_damage(store: StateStore) -> None:
    state = publish(store, "k1")
    state.seed.unlink()
    assert store.damage(state, thorough=False) == "seed.iso is gone"


@pytest.mark.parametrize("text", ["", "{", '{"key": "k1"}', "[]"])
def test_a_record_that_cannot_be_read_is_no_state(store: StateStore, text: str) -> None:
    state = publish(store, "k1")
    (state.directory / META).write_text(text)
    assert store.get("k1") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("created", "never"), ("cell", 7), ("cell", None), ("extra", []), ("parent", {}),
     ("files", {"disk.qcow2": {"size": "1"}}), ("key", "../k1"), ("key", "k2")],
)  # fmt: skip
def test_a_record_that_says_another_thing_is_no_state(
    store: StateStore, field: str, value: object
) -> None:
    state = publish(store, "k1")
    record = json.loads((state.directory / META).read_text())
    (state.directory / META).write_text(json.dumps({**record, field: value}))
    assert store.get("k1") is None
    assert store.all() == []


def test_workspaces_of_dead_writers_are_swept(store: StateStore) -> None:
    dead = store.directory / ".new-999999-1-0badb007-1"
    former = store.directory / ".new-999999-1700000000"
    nobody = store.directory / ".new-x"
    for path in (dead, former, nobody):
        path.mkdir()
    mine = store.workspace()
    assert [path.exists() for path in (dead, former, nobody)] == [False] * 3
    assert mine.exists()
    assert store.sweep() == 0


def test_a_clock_that_is_set_sweeps_no_workspace(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = store.workspace()
    set_the_clock(monkeypatch, 7200)
    assert store.sweep() == 0
    assert mine.exists()


def test_removing_a_state_removes_what_stands_on_it(store: StateStore) -> None:
    publish(store, "a")
    publish(store, "b", parent="a")
    publish(store, "c", parent="b")
    assert store.remove("a") == 3
    assert store.all() == []


def age(state: SavedState, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(state.directory / META, (then, then))


def test_eviction_by_age_spares_the_parents_of_what_is_used(store: StateStore) -> None:
    for key, parent, seconds in (("a", "image:x", 900), ("b", "a", 10), ("old", "a", 800)):
        age(publish(store, key, parent), seconds)
    assert store.evict(max_age=500, max_bytes=1 << 40) == ["old"]
    assert {state.key for state in store.all()} == {"a", "b"}


def test_eviction_by_size_takes_the_longest_unused_first(store: StateStore) -> None:
    for key, seconds in (("new", 1), ("older", 50), ("oldest", 100)):
        age(publish(store, key, size=100_000), seconds)
    total = sum(state.size for state in store.all())
    assert store.evict(max_age=1e9, max_bytes=total - 1) == ["oldest"]


def test_eviction_keeps_what_it_is_told(store: StateStore) -> None:
    age(publish(store, "a"), 1000)
    age(publish(store, "b", parent="a"), 1000)
    assert store.evict(max_age=1, max_bytes=0, keep=frozenset({"b"})) == []


def test_a_record_names_its_digests(store: StateStore) -> None:
    state = publish(store, "k")
    record = json.loads((state.directory / META).read_text())
    assert set(record["files"]) == {MEMORY, DISK, SEED}
    assert all(len(entry["sha256"]) == 64 for entry in record["files"].values())
