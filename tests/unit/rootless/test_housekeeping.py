"""What goes from the cache, and what must stay."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from harness.hypervisor.leases import Leases
from harness.hypervisor.saved import DISK, MEMORY, META, SEED, StateStore
from harness.image.model import Image
from harness.image.twins import cached
from harness.paths import Cache
from harness.rootless import housekeeping
from harness.rootless.housekeeping import clear_states, keep_house, room

DAY = 86_400.0
DIGEST = "sha256:aa"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """A cache whose only image is DIGEST."""
    image = Image("c", tmp_path, tmp_path, tmp_path, "", DIGEST, "built", "", {}, "")
    monkeypatch.setattr(housekeeping, "list_images", lambda _: [image])
    return Cache(tmp_path)


def save(place: Cache, key: str, parent: str = f"image:{DIGEST}", days: float = 1) -> None:
    """A state last used some days ago."""
    store = StateStore(place.states)
    workspace = store.workspace()
    for name in (MEMORY, DISK, SEED):
        (workspace / name).write_bytes(b"x" * 8192)
    state = store.publish(
        workspace, key=key, name=key, cell="c", parent=parent, uuid="", extra={}
    )
    age(state.directory / META, days * DAY)


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def left(place: Cache) -> set[str]:
    return {state.key for state in StateStore(place.states).all()}


def test_nothing_to_do(place: Cache) -> None:
    save(place, "a")
    assert str(keep_house(place)) == ""
    assert left(place) == {"a"}


def test_old_states_go_and_reading_them_keeps_none(place: Cache) -> None:
    save(place, "old", days=20)
    save(place, "base", days=20)
    save(place, "new", parent="base", days=2)
    (place.states / "old" / META).read_text()
    assert str(keep_house(place)) == "saved states: 1"
    assert left(place) == {"base", "new"}


def test_the_longest_unused_go_first(place: Cache) -> None:
    for number in range(4):
        save(place, f"s{number}", days=number + 1)
    one = StateStore(place.states).all()[0].size
    keep_house(place, max_bytes=2 * one)
    assert left(place) == {"s0", "s1"}


def test_states_without_what_lies_below_go(place: Cache) -> None:
    save(place, "stale", parent="image:sha256:gone")
    save(place, "upper", parent="stale")
    save(place, "lost", parent="nowhere")
    save(place, "good")
    assert len(keep_house(place).states) == 3
    assert left(place) == {"good"}


def test_what_was_just_used_stays(place: Cache) -> None:
    save(place, "base", parent="image:sha256:gone", days=30)
    save(place, "top", parent="base", days=0)
    keep_house(place, max_bytes=0)
    assert left(place) == {"base", "top"}
    keep_house(place, max_bytes=0, quiet=0)
    assert left(place) == set()


def test_what_is_being_made_stays(place: Cache) -> None:
    save(place, "a", days=30)
    with StateStore(place.states).lock("a"):
        keep_house(place)
        assert left(place) == {"a"}
        assert clear_states(place)[1][0].key == "a"
    assert keep_house(place).states == ("a",)


def test_what_a_guest_uses_stays(place: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    save(place, "base", days=30)
    save(place, "used", parent="base", days=30)
    save(place, "other", days=30)
    line = f"qemu-system-x86_64 -blockdev filename={place.states}/used/disk.qcow2"
    monkeypatch.setattr(housekeeping, "used_files", lambda _: line)
    keep_house(place)
    assert left(place) == {"base", "used"}
    gone, stayed = clear_states(place)
    assert (gone, {state.key for state in stayed}) == ([], {"base", "used"})


def test_a_copy_under_another_name_is_no_state(
    place: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(place, "used")
    shutil.copytree(place.states / "used", place.states / "used.bak")
    monkeypatch.setattr(housekeeping, "used_files", lambda _: f"{place.states}/used/disk.qcow2")
    gone, stayed = clear_states(place)
    assert (gone, [state.key for state in stayed]) == ([], ["used"])
    assert left(place) == {"used"}
    assert not (place.states / "used.bak").exists()


def test_a_damaged_record_of_what_a_guest_uses_stays(
    place: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(place, "used")
    (place.states / "used" / META).write_text("{")
    monkeypatch.setattr(housekeeping, "used_files", lambda _: f"{place.states}/used/disk.qcow2")
    clear_states(place)
    assert (place.states / "used" / DISK).exists()


def test_damaged_records_go_in_time(place: Cache) -> None:
    save(place, "a")
    (place.states / "a" / META).write_text("{")
    assert keep_house(place).states == ()
    age(place.states / "a", 2 * 3600)
    assert keep_house(place).states == ("a",)


def test_leftovers_of_dead_processes(place: Cache) -> None:
    (place.states / ".new-999999999-1").mkdir()
    guests = place.root / "guests"
    for name in ("leased", "new", "dead"):
        (guests / name).mkdir(parents=True)
    Leases(place.leases).take(name="leased", uuid="", cell="", run="", directory=guests / "leased",
                              console=guests)  # fmt: skip
    for name in ("leased", "dead"):
        age(guests / name, 3600)
    (place.root / "shells" / "log").mkdir(parents=True)
    age(place.root / "shells" / "log", 20 * DAY)
    removed = keep_house(place)
    assert (removed.guests, removed.logs, removed.unfinished) == (("dead",), ("log",), 1)
    assert {path.name for path in guests.iterdir()} == {"leased", "new"}


def test_packages_of_twins_go_with_the_rest(place: Cache) -> None:
    for name, days in (("photon-4-aa", 20), ("photon-4-bb", 0)):
        folder = place.twins / name
        folder.mkdir()
        for file in (cached.TAR, cached.VERSIONS):
            (folder / file).touch()
            age(folder / file, days * DAY)
    removed = keep_house(place)
    assert (removed.twins, str(removed)) == (("photon-4-aa",), "packages of twins: 1")
    assert keep_house(place, max_age=0).twins == ()  # used within the hour


def test_clearing(place: Cache) -> None:
    save(place, "a", days=0)
    save(place, "b", parent="a", days=0)
    assert len(clear_states(place)[0]) == 2
    assert left(place) == set()


def test_states_leave_half_of_the_disk_to_others(
    place: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(place.root))
    for free, expected in ((6 << 30, 3 << 30), (900 << 30, 40 << 30)):
        found = usage(1000 << 30, (1000 << 30) - free, free)
        monkeypatch.setattr("shutil.disk_usage", lambda _, found=found: found)
        assert room(place) == expected
