"""The lab, as far as it goes without a guest."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.distros.debian import DEBIAN_12
from harness.errors import GuestRefusal, RestoreError, TestbedError
from harness.hypervisor import acceleration
from harness.hypervisor.acceleration import Acceleration
from harness.hypervisor.saved import DISK, MEMORY, SEED, SavedState
from harness.image import recipe as recipes
from harness.image import store
from harness.image.debian import INITRD, KERNEL, Built
from harness.image.model import Image
from harness.matrix import Cell
from harness.paths import cache
from harness.rootless import ladder, sourcing
from harness.rootless.lab import Lab
from harness.rootless.options import Options
from harness.session import run

CELL = Cell("debian", "12", "x86_64")


class Nobody:
    """A guest that nobody can enter; *lacks* is what keeps it from speaking for its distro."""

    def __init__(self, state: str = "", lacks: str = "") -> None:
        self.state = state
        self.lacks = lacks

    def check_health(self) -> None:
        if self.lacks:
            raise TestbedError(self.lacks)

    def probe(self) -> object:
        return None

    def end(self) -> None:
        pass


class Bench(Lab):
    """States are files, of guests that are nobody.  ``will_not`` are those that restore no more;
    ``told`` is what was said; ``lacks`` is what all guests do."""

    def __init__(self, directory: Path, image: Image, **options: Any) -> None:
        self.told: list[str] = []
        super().__init__(Options(
            cache(directory), "run", directory / "run", progress=self.told.append, **options
        ))  # fmt: skip
        self._images[CELL.id] = image
        self.will_not: set[str] = set()
        self.lacks = ""
        self.climbing: Callable[[], object] = lambda: None

    def keys_of(self, cell: Cell, distro: object) -> dict[str, str]:
        return {state: f"key-{state}" for state in ladder.STATES}

    def boot_image(self, cell: Cell, image: Image) -> Any:
        return Nobody("", self.lacks)

    def restore(self, cell: Cell, image: Image, saved: SavedState) -> Any:
        if saved.name in self.will_not:
            raise RestoreError("it will not")
        return Nobody(saved.name, self.lacks)

    def _climb(self, *args: object) -> None:
        self.climbing()

    def _why_slow(self, cell: Cell) -> str:
        return ""

    def save(
        self, guest: object, cell: Cell, state: str, key: str, parent: str, *args: object,
        altered: bool, withheld: object = (),
    ) -> SavedState:  # fmt: skip
        self.will_not.discard(state)
        workspace = self.states.workspace()
        for name in (MEMORY, DISK, SEED):
            (workspace / name).write_bytes(os.urandom(99))
        return self.states.publish(
            workspace, key=key, name=state, cell=cell.id, parent=parent, uuid=str(uuid.uuid4()),
            extra={},
        )  # fmt: skip


def build(directory: Path, *, force: bool = False) -> Image:
    """An image of random bytes."""

    def some(recipe: object, arch: str, where: Path, progress: object) -> Built:
        for name in (DISK, KERNEL, INITRD):
            (where / name).write_bytes(os.urandom(99))
        return Built({}, {})

    return store.ensure(
        recipes.load("debian-12"), "x86_64", cache(directory).images, lambda line: None,
        force=force, build=some,
    )  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """With every state made."""
    monkeypatch.setattr(ladder, "records", lambda guest, state: {})
    monkeypatch.setattr(store, "NEEDED_MIB", 0)
    lab = Bench(tmp_path, build(tmp_path))
    lab.guest(CELL, DEBIAN_12, "daemon")
    lab.told.clear()
    return lab


def made(lab: Bench) -> dict[str, SavedState]:
    return {state.name: state for state in lab.states.all()}


def test_a_wrong_uri_is_told_before_an_image_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*args: object) -> None:
        raise AssertionError("an image is being built")

    monkeypatch.setattr(sourcing, "image", build)
    lab = Lab(Options(cache(tmp_path), "run", tmp_path / "run", uri="nonsense:///x"))
    with pytest.raises(TestbedError, match="libvirt did not open nonsense:///x"):
        lab.image(CELL, DEBIAN_12)


def test_what_is_whole_is_restored(bench: Bench) -> None:
    before = made(bench)
    assert list(before) == ["booted", "daemon", "prepared"]
    guest: Any = bench.guest(CELL, DEBIAN_12, "daemon")
    assert guest.state == "daemon"
    assert made(bench) == before
    assert bench.told == []


def test_a_damaged_disk_below_is_seen_and_made_anew(bench: Bench, tmp_path: Path) -> None:
    before = made(bench)
    disk = before["prepared"].disk
    data = bytearray(disk.read_bytes())
    data[7] ^= 1
    disk.write_bytes(data)
    other = Bench(tmp_path, bench.image(CELL, DEBIAN_12))
    other.guest(CELL, DEBIAN_12, "daemon")
    now = made(other)
    assert other.told[0].endswith(
        "state prepared is damaged (disk.qcow2 differs from what was written); rebuilding it"
    )
    assert [now[name] == before[name] for name in ladder.STATES] == [True, False, False]


def test_a_state_below_that_will_not_be_restored_is_made_anew(bench: Bench) -> None:
    before = made(bench)
    bench.states.remove(before["daemon"].key)
    bench.will_not = {"prepared"}
    guest: Any = bench.guest(CELL, DEBIAN_12, "daemon")
    assert guest.state == "daemon"
    now = made(bench)
    assert any("state prepared is damaged (it will not); rebuilding it" in x for x in bench.told)
    assert [now[name] == before[name] for name in ladder.STATES] == [True, False, False]


def test_where_nothing_is_restored_it_is_the_host(bench: Bench) -> None:
    before = made(bench)
    bench.will_not = {"daemon", "prepared"}
    with pytest.raises(RestoreError, match="it will not"):
        bench.guest(CELL, DEBIAN_12, "daemon")
    assert bench.states.get(before["prepared"].key) == before["prepared"]


def test_what_another_worker_rebuilt_is_left_to_stand(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen to be damaged, and by the time that one may remove it, it is another."""
    seen = made(bench)["daemon"]
    looks = iter([(replace(seen, created=seen.created - 1), "it was broken"), (seen, "")])
    monkeypatch.setattr(bench.states, "weakest", lambda state: next(looks))
    bench.guest(CELL, DEBIAN_12, "daemon")
    assert made(bench)["daemon"] == seen


class Refuses:
    """Refuses so many times, and counts."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked = 0

    def __call__(self) -> None:
        self.asked += 1
        if self.asked <= self.times:
            raise GuestRefusal("the daemon does not answer")


def test_a_refusal_is_kept_once_it_came_twice(bench: Bench) -> None:
    bench.states.remove("key-daemon")
    bench.climbing = once = Refuses(1)
    guest: Any = bench.guest(CELL, DEBIAN_12, "daemon")
    assert (guest.state, once.asked) == ("daemon", 2)
    why = "state daemon cannot be reached: the daemon does not answer"
    assert f"{CELL}: {why}; trying again" in bench.told

    bench.states.remove("key-daemon")
    bench.climbing = ever = Refuses(9)
    for _ in range(2):
        with pytest.raises(GuestRefusal, match=why):
            bench.guest(CELL, DEBIAN_12, "daemon")
    assert ever.asked == 2


def test_a_refusal_of_the_state_below_is_not_asked_for_again(bench: Bench) -> None:
    for state in ("daemon", "prepared"):
        bench.states.remove(f"key-{state}")
    bench.climbing = ever = Refuses(9)
    with pytest.raises(GuestRefusal, match="state prepared cannot be reached"):
        bench.guest(CELL, DEBIAN_12, "daemon")
    assert ever.asked == 2
    assert len(bench.told) == len(set(bench.told)) + 1, "making prepared, twice"


def test_what_was_altered_is_meant_to_refuse(bench: Bench, tmp_path: Path) -> None:
    bench.states.remove("key-daemon")
    altered = Bench(tmp_path, bench.image(CELL, DEBIAN_12), kernel_arguments="ipv6.disable=1")
    altered.climbing = ever = Refuses(9)
    with pytest.raises(GuestRefusal):
        altered.guest(CELL, DEBIAN_12, "daemon")
    assert ever.asked == 1


@pytest.mark.parametrize("times", [0, 9])
def test_a_guest_that_lacks_something_refuses_nothing_and_is_not_saved(
    bench: Bench, times: int
) -> None:
    bench.states.remove("key-daemon")
    bench.lacks, bench.climbing = "no room left on /", Refuses(times)
    with pytest.raises(TestbedError, match="no room left on /"):
        bench.guest(CELL, DEBIAN_12, "daemon")
    bench.lacks, bench.climbing = "", Refuses(0)
    guest: Any = bench.guest(CELL, DEBIAN_12, "daemon")
    assert guest.state == "daemon"


def test_nothing_is_saved_on_what_is_gone(bench: Bench) -> None:
    bench.states.remove("key-daemon")
    bench.climbing = lambda: bench.states.remove("key-prepared")
    with pytest.raises(TestbedError, match="state prepared was rebuilt while daemon was made"):
        bench.guest(CELL, DEBIAN_12, "daemon")
    assert list(made(bench)) == ["booted"]


def test_an_image_that_was_replaced_is_taken_anew(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = bench.image(CELL, DEBIAN_12)
    assert bench.told == []
    new = build(tmp_path, force=True)
    assert (old.path, old.digest == new.digest) == (new.path, False)
    monkeypatch.setattr(bench, "connection", lambda: None)
    monkeypatch.setattr(sourcing, "image", lambda *args: new)
    assert bench.image(CELL, DEBIAN_12).digest == new.digest
    assert bench.told == [f"{CELL}: its image was replaced; taking the new one"]


def test_no_guest_is_made_of_an_image_that_was_replaced(bench: Bench, tmp_path: Path) -> None:
    old = bench.image(CELL, DEBIAN_12)
    build(tmp_path, force=True)
    with pytest.raises(TestbedError, match="was replaced while"):
        Lab.boot_image(bench, CELL, old)
    with pytest.raises(TestbedError, match="was replaced while"):
        Lab.restore(bench, CELL, old, made(bench)["booted"])
    assert bench.leases.all() == []


def test_what_no_guest_comes_of_leaves_no_lease(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = bench.image(CELL, DEBIAN_12)
    gone = made(bench)["daemon"]
    bench.states.remove(gone.key)
    with pytest.raises(RestoreError, match="was just removed"):
        Lab.restore(bench, CELL, image, gone)
    strange = replace(image, kernel=None, firmware=("nonsense",))
    with pytest.raises(TestbedError):
        Lab.boot_image(bench, CELL, strange)
    assert bench.leases.all() == []
    assert list((tmp_path / "guests").iterdir()) == []


def test_hooks_that_differ_in_a_byte_make_two_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the byte is none of UTF-8."""
    image = build(tmp_path)
    hook = tmp_path / "hook"

    def key(content: bytes) -> str:
        hook.write_bytes(content)
        lab = Bench(tmp_path, image, hooks={"prepared": (hook,)})
        return keys(lab, monkeypatch)["prepared"]

    assert len({key(b"\x7fELF\xff"), key(b"\x7fELF\xfe"), key(b"echo \xc3\xa4")}) == 3


def keys(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    chosen = Acceleration("tcg", "", 1.0)
    opened = SimpleNamespace(versions=lambda: {"qemu": ""})
    monkeypatch.setattr(lab, "acceleration", lambda *args: chosen)
    monkeypatch.setattr(lab, "connection", lambda: opened)
    return Lab.keys_of(lab, CELL, DEBIAN_12)


def test_a_guest_prepared_without_a_hint_is_another_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = build(tmp_path)

    def of(*names: str) -> dict[str, str]:
        return keys(Bench(tmp_path, image, withheld=names), monkeypatch)

    whole, without = of(), of("rootful-off")
    assert whole["booted"] == without["booted"]
    assert whole["prepared"] != without["prepared"]
    assert whole == of("photon-subuid")  # a hint of others
    assert [hint.name for hint in DEBIAN_12.without(["rootful-off"]).hints] == [
        hint.name for hint in DEBIAN_12.hints if hint.name != "rootful-off"
    ]


def test_kvm_is_proven_for_a_disk_with_a_boot_loader_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By any kernel of the cache; while it has none, nothing is settled."""
    monkeypatch.setattr(store, "NEEDED_MIB", 0)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(acceleration, "_cheap_refusal", lambda arch: "")
    monkeypatch.setattr(acceleration, "_kernel_starts", lambda arch, kernel: not kernel.exists())
    place = cache(tmp_path)
    lab = Lab(Options(place, "run", tmp_path / "run", uri="test:///default"))
    assert "not proven" in lab.acceleration("x86_64").reason
    assert "not proven" in run._host("auto", "test:///default", place).acceleration_reason
    build(tmp_path)
    assert lab.acceleration("x86_64").kind == "tcg"
    assert run._host("auto", "test:///default", place).acceleration == "tcg"


def test_what_is_induced_is_kept_with_the_state_and_those_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "NEEDED_MIB", 0)
    lab = Bench(tmp_path, build(tmp_path), induced={"prepared": (("userns-clone", "0"),)})
    assert lab._induced("prepared", altered=False) == [], "the healthy one that it is made from"
    for state in ("prepared", "daemon"):
        assert lab._induced(state, altered=True) == ["prepared:userns-clone=0"]
    assert lab._induced("daemon", altered=False) == ["prepared:userns-clone=0"]


def test_nobody_else_reads_what_guests_are_known_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "NEEDED_MIB", 0)
    place = cache(tmp_path)
    place.states.chmod(0o755)
    Bench(tmp_path, build(tmp_path))
    assert {part.stat().st_mode & 0o777 for part in (place.states, place.guests)} == {0o700}
