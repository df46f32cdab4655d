"""mmdebstrap's command lines, and the script that runs inside of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.errors import TestbedError
from harness.image import bootstrap
from harness.image import recipe as recipes

TAR = Path("root.tar")
MIRROR = "http://mirror.example/debian"


@pytest.mark.parametrize(("uid", "mode"), [(0, "root"), (1000, "unshare")])
def test_who_builds_decides_the_mode(
    monkeypatch: pytest.MonkeyPatch, uid: int, mode: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    recipe = recipes.load("debian-12")
    command = bootstrap.native(recipe, "x86_64", TAR, MIRROR)
    assert f"--mode={mode}" in command
    assert command[-3:] == ["bookworm", "root.tar", MIRROR]
    assert bootstrap.native(recipe, "x86_64", TAR, None)[-2:] == ["bookworm", "root.tar"]


def test_a_pair_is_of_this_machines_architecture_and_has_no_kernel() -> None:
    recipe = recipes.load("debian-12")
    command = bootstrap.pair(recipe, "aarch64", "x86_64", TAR, MIRROR)
    assert "--architectures=amd64" in command
    (include,) = (word for word in command if word.startswith("--include="))
    assert "openssh-server" in include
    assert "linux-image" not in include
    (hook,) = (word for word in command if word.startswith("--customize-hook="))
    assert "linux-image-cloud-arm64" in hook


def test_the_script_is_one() -> None:
    recipe = recipes.load("debian-13")
    script = bootstrap._pairing(recipe, "aarch64")
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    assert f"/{bootstrap.DEBS}" in script


def test_one_package_of_another_architecture_is_only_unpacked() -> None:
    command = bootstrap.unpack(recipes.load("debian-12"), "aarch64", "loader", TAR, MIRROR)
    assert {"--variant=extract", "--architectures=arm64", "--include=loader"} <= set(command)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_a_build_that_ends_early_leaves_no_mount_and_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    # As mmdebstrap, but that it may be killed before it unmounts; a container's root may not mount.
    script = """
mkdir -p "$TMPDIR/mmdebstrap.x/proc"
mount -t tmpfs tmpfs "$TMPDIR/mmdebstrap.x/proc" || true
stat -c %a "$TMPDIR"
exit 7
"""
    try:
        with pytest.raises(TestbedError, match="sh failed with status 7") as caught:
            bootstrap.run(["sh", "-c", script], tmp_path / "log")
    finally:
        left = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        left = [place for place in left if place.startswith(str(tmp_path))]
        for place in left:
            subprocess.run(["umount", place], check=True)
    assert not left
    assert list((tmp_path / "scratch").iterdir()) == []
    assert caught.value.detail.endswith("755"), "apt's user could not get in"
