"""A recipe of a few lines, and a builder that is done at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.image import recipe as recipes
from harness.image.debian import DISK, INITRD, KERNEL, Built, Progress
from harness.image.recipe import Recipe

TOML = """\
distro = "toy"
release = "1"
suite = "tiny"
disk_gib = 1
[arch.x86_64]
debian = "amd64"
kernel = "linux"
cmdline = "console=ttyS0"
[packages]
include = ["dash"]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str, name: str = "toy-1") -> Path:
        folder = tmp_path / "recipes"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.toml").write_text(text)
        return folder

    return write


@pytest.fixture
def recipe(write: Callable[[str], Path]) -> Recipe:
    return recipes.load("toy-1", write(TOML))


class Builder:
    """Counts its calls; the disk it makes differs each time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, recipe: Recipe, arch: str, where: Path, progress: Progress) -> Built:
        self.calls += 1
        (where / DISK).write_bytes(b"disk %d" % self.calls * 1000)
        (where / KERNEL).write_bytes(b"kernel")
        (where / INITRD).write_bytes(b"initrd")
        return Built({"dash": "0.5.12-2"}, {"docker.io": "20.10.24"})


@pytest.fixture
def builder() -> Builder:
    return Builder()
