"""The disk of a guest, on top of what it is made of."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.errors import TestbedError
from harness.hypervisor.machine import create_overlay

GIB = 1 << 30


@pytest.mark.parametrize(("least", "size"), [(0, 2 * GIB), (GIB, 2 * GIB), (16 * GIB, 16 * GIB)])
def test_a_disk_is_as_large_as_its_image_or_larger(least: int, size: int, tmp_path: Path) -> None:
    image, disk = tmp_path / "image", tmp_path / "disk"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "2G"], check=True)
    create_overlay(disk, image, least)
    command = ["qemu-img", "info", "--output=json", str(disk)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert told["virtual-size"] == size
    assert told["full-backing-filename"] == str(image)


def test_an_image_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="no overlay could be made"):
        create_overlay(tmp_path / "disk", tmp_path / "gone", GIB)
