from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import TestbedError
from harness.image import store
from harness.image.debian import DISK, INITRD, KERNEL, LOG, Built
from harness.image.model import Image
from harness.image.recipe import Recipe
from harness.image.record import NAME, Corrupt, load
from tests.unit.image.conftest import Builder

Ensure = Callable[..., Image]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def ensure(recipe: Recipe, builder: Builder, tmp_path: Path, said: list[str]) -> Ensure:
    def ensure(**options: bool) -> Image:
        cache = tmp_path / "images"
        return store.ensure(recipe, "x86_64", cache, said.append, build=builder, **options)

    return ensure


def flip(path: Path, *, keep_time: bool) -> None:
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_image_is_built_once(ensure: Ensure, builder: Builder) -> None:
    first = ensure()
    assert ensure() == ensure(verify=True) == first
    assert builder.calls == 1
    assert first.cell == "toy-1/x86_64"
    assert first.source == "built"
    assert first.packages == {"dash": "0.5.12-2"}
    assert first.preloaded == {"docker.io": "20.10.24"}
    assert first.digest.startswith("sha256:")


def test_force_builds_again(ensure: Ensure, builder: Builder) -> None:
    first = ensure()
    second = ensure(force=True)
    assert builder.calls == 2
    assert second.digest != first.digest
    assert ensure(verify=True) == second


@pytest.mark.parametrize("name", [DISK, KERNEL, INITRD])
def test_a_flipped_byte_is_noticed_and_cured(
    ensure: Ensure, builder: Builder, said: list[str], name: str
) -> None:
    image = ensure()
    flip(image.folder / name, keep_time=True)
    with pytest.raises(TestbedError) as caught:
        store.verify(image)
    assert f"damaged: {name} has SHA-256" in caught.value.what
    assert caught.value.command == "harness image build toy-1/x86_64 --force"
    rebuilt = ensure(verify=True)
    assert builder.calls == 2
    assert [line for line in said if "damaged" in line] == [
        line for line in said if f"damaged ({name} has SHA-256" in line and "rebuilding" in line
    ]
    store.verify(rebuilt)


def test_a_byte_flipped_in_the_ordinary_way_needs_no_verify(
    ensure: Ensure, builder: Builder
) -> None:
    flip(ensure().path, keep_time=False)
    ensure()
    assert builder.calls == 2


def test_a_truncated_disk_needs_no_verify(ensure: Ensure, builder: Builder) -> None:
    image = ensure()
    os.truncate(image.path, 10)
    with pytest.raises(TestbedError, match=r"disk.qcow2 has 10 bytes, not \d+"):
        store.verify(image)
    ensure()
    assert builder.calls == 2


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b"[1]", b"\0", b'{"cell": "\xff"}'])
def test_a_broken_record_is_not_trusted(ensure: Ensure, builder: Builder, text: bytes) -> None:
    (ensure().folder / NAME).write_bytes(text)
    ensure()
    assert builder.calls == 2


@pytest.mark.parametrize("name", [DISK, KERNEL, NAME])
def test_a_missing_file_is_not_trusted(ensure: Ensure, builder: Builder, name: str) -> None:
    (ensure().folder / name).unlink()
    ensure()
    assert builder.calls == 2


@pytest.mark.parametrize("name", [DISK, KERNEL, NAME])
def test_a_file_that_cannot_be_read_is_not_trusted(
    ensure: Ensure, builder: Builder, name: str
) -> None:
    file = ensure().folder / name
    file.unlink()
    file.symlink_to(file)
    with pytest.raises(Corrupt, match=rf"^{name} cannot be read: Too many levels"):
        load(file.parent, full=True)
    ensure()
    assert builder.calls == 2


def test_a_copied_cache_is_read_once_and_believed(
    ensure: Ensure, builder: Builder, tmp_path: Path
) -> None:
    image = ensure()
    os.utime(image.path, (1, 1))
    again = ensure()
    assert builder.calls == 1
    assert again == image
    assert '"mtime_ns": 1000000000' in (image.folder / NAME).read_text()


def test_a_changed_recipe_is_another_image(
    recipe: Recipe, builder: Builder, ensure: Ensure, tmp_path: Path
) -> None:
    first = ensure()
    other = Recipe(**{f: getattr(recipe, f) for f in recipe.__struct_fields__} | {"disk_gib": 2})
    second = store.ensure(other, "x86_64", tmp_path / "images", print, build=builder)
    assert second.path != first.path
    assert {i.path for i in store.list_images(tmp_path / "images")} == {first.path, second.path}
    store.remove(first)
    assert store.list_images(tmp_path / "images") == [second]


def test_a_failed_build_leaves_its_log_and_nothing_else(recipe: Recipe, tmp_path: Path) -> None:
    def fail(recipe: Recipe, arch: str, where: Path, progress: object) -> Built:
        (where / LOG).write_text("E: no such suite\n")
        raise TestbedError("mmdebstrap failed with status 1", detail="E: no such suite")

    with pytest.raises(TestbedError) as caught:
        store.ensure(recipe, "x86_64", tmp_path, print, build=fail)
    error = caught.value
    assert "the image of toy-1/x86_64 could not be built: mmdebstrap failed" in error.what
    assert error.detail == "E: no such suite"
    log = Path(error.hint.removeprefix("the whole log is "))
    assert log.read_text() == "E: no such suite\n"
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and "1_x86" in path.name]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        TestbedError("mke2fs failed", detail="mke2fs: No space left on device"),
    ],
)
def test_a_full_disk_is_called_that(recipe: Recipe, tmp_path: Path, error: Exception) -> None:
    def fail(recipe: Recipe, arch: str, where: Path, progress: object) -> Built:
        raise error

    with pytest.raises(TestbedError, match=r"the disk of .* is full \(\d+ MiB free"):
        store.ensure(recipe, "x86_64", tmp_path, print, build=fail)


def test_a_disk_without_room_for_a_lock_is_called_that(tmp_path: Path) -> None:
    target = tmp_path / "image"
    (tmp_path / ".image.pid").symlink_to("/dev/full")
    with (
        pytest.raises(TestbedError, match=f"the cache {tmp_path} cannot be written to: No space"),
        store.locked(target, print),
    ):
        pass
    with store.locked(target, print):
        assert (tmp_path / ".image.pid").read_text()


def test_space_is_looked_at_before_building(
    ensure: Ensure, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 5 << 20))
    with pytest.raises(TestbedError, match=r"is full \(5 MiB free"):
        ensure()
    assert builder.calls == 0
