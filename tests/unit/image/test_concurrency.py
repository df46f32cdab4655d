"""Several processes, real locks, and a real kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from harness.image import recipe as recipes
from harness.image import store
from harness.image.recipe import Recipe
from tests.unit.image.conftest import Builder

# Builds slowly: says that it began, and goes on when the file "go" is there.
SLOW = """
import sys, time
from pathlib import Path
from harness.image import recipe as recipes, store
from harness.image.debian import Built

recipe_folder, cache = map(Path, sys.argv[1:])

def build(recipe, arch, where, progress):
    with (cache.parent / "begun").open("a") as file:
        file.write("x")
    for name in ("disk.qcow2", "vmlinuz", "initrd.img"):
        (where / name).write_text(name)
    while not (cache.parent / "go").exists():
        time.sleep(0.02)
    return Built({}, {})

recipe = recipes.load("toy-1", recipe_folder)
say = lambda line: print(line, flush=True)
print(store.ensure(recipe, "x86_64", cache, say, build=build).digest)
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "images"


def start(recipe: Recipe, cache: Path) -> subprocess.Popen[str]:
    folder = cache.parent / "recipes"
    assert recipes.load("toy-1", folder) == recipe
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(folder), str(cache)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def await_file(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def test_many_ask_and_one_builds(recipe: Recipe, cache: Path) -> None:
    first = start(recipe, cache)
    await_file(cache.parent / "begun")
    others = [start(recipe, cache) for _ in range(3)]
    for other in others:
        assert other.stdout is not None
        line = other.stdout.readline()
        assert line == f"waiting for the image being built by PID {first.pid}…\n"
    (cache.parent / "go").touch()
    digests = {process.communicate(timeout=30)[0].splitlines()[-1] for process in [first, *others]}
    assert len(digests) == 1
    assert (cache.parent / "begun").read_text() == "x"


def test_who_holds_the_lock_need_not_have_said_so(tmp_path: Path) -> None:
    target, said = tmp_path / "toy", []
    (tmp_path / ".toy.pid").symlink_to("/proc/self/mem")  # exists, and cannot be read
    holder = FileLock(store.lock_path(target))
    holder.acquire()

    def tell(line: str) -> None:
        said.append(line)
        holder.release()
        (tmp_path / ".toy.pid").unlink()

    with store.locked(target, tell):
        assert said == ["waiting for the image being built by PID ?…"]


def test_a_killed_builder_leaves_nothing_that_is_trusted(
    recipe: Recipe, cache: Path, builder: Builder
) -> None:
    victim = start(recipe, cache)
    await_file(cache.parent / "begun")
    assert list(cache.glob(".building-*"))
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate(timeout=30)
    assert store.list_images(cache) == []
    image = store.ensure(recipe, "x86_64", cache, print, verify=True, build=builder)
    assert builder.calls == 1
    assert list(cache.glob(".building-*")) == []
    store.verify(image)


def test_what_a_dead_builder_of_another_recipe_left_goes_too(
    recipe: Recipe, cache: Path, builder: Builder
) -> None:
    (cache / ".building-old_x86_64-0123-abc").mkdir(parents=True)
    store.ensure(recipe, "x86_64", cache, print, build=builder)
    assert list(cache.glob(".building-*")) == []


def test_who_waits_for_a_killed_builder_builds(recipe: Recipe, cache: Path) -> None:
    victim = start(recipe, cache)
    await_file(cache.parent / "begun")
    heir = start(recipe, cache)
    assert heir.stdout is not None
    assert "waiting" in heir.stdout.readline()
    (cache.parent / "begun").unlink()
    victim.kill()
    victim.communicate(timeout=30)
    await_file(cache.parent / "begun")
    (cache.parent / "go").touch()
    output, _ = heir.communicate(timeout=30)
    assert "built in" in output
    assert heir.returncode == 0


def test_the_pid_of_the_holder_is_forgotten(recipe: Recipe, cache: Path, builder: Builder) -> None:
    store.ensure(recipe, "x86_64", cache, print, build=builder)
    assert list(cache.glob("*.pid")) == []
