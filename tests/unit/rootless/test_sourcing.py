"""What a guest of an upstream image is given before anything is asked of it, on this machine."""

from __future__ import annotations

import platform
import shutil
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import packages
from harness.errors import TestbedError
from harness.image import taking
from harness.image.model import Image
from harness.image.recipe import File
from harness.image.upstream.schema import Fix
from harness.packages import common
from harness.rootless import sourcing
from tests.unit.packages.local import Here, need


def static() -> bytes:
    """A program of x86_64 that needs no other file, and says yes to whatever it is asked."""
    code = b"\x31\xff\xb8\x3c\x00\x00\x00\x0f\x05"  # exit(0)
    head, start = 64 + 56, 0x400000
    return struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, start + head, 64, 0, 0, 64, 56, 1,
        0, 0, 0,
    ) + struct.pack(
        "<IIQQQQQQ", 1, 5, 0, start, start, head + len(code), head + len(code), 0x1000,
    ) + code  # fmt: skip


class Toy(common.Tool):
    """A manager that has nothing to do."""

    NAME = "toy"
    SIGNS = common.signs(r"toy is locked", r"no route")

    def refresh(self) -> str:
        return ""


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(packages._MAKERS, "toy", Toy)
    monkeypatch.setattr(common, "PAUSE", 0.0)
    monkeypatch.setattr(sourcing, "BUSYBOX_ALONE", "true")
    return SimpleNamespace(cell="toy-1/x86_64", root=Here(), user=Here())


def settle(guest: Any, where: Path, *fixes: Fix) -> str:
    """The log of it."""
    image = Image(
        cell="toy-1/x86_64", path=where / "disk", kernel=None, initrd=None, cmdline="", digest="",
        source="upstream", recipe_hash="", packages={}, built_at="", fixes=fixes,
    )  # fmt: skip
    log: list[str] = []
    sourcing.settle(guest, image, "toy", where / "cache", lambda _: None, log.append)
    return "\n".join(log)


def fix(*commands: str, files: tuple[File, ...] = ()) -> Fix:
    return Fix(why="it lacks something", when="before-packages", commands=commands, files=files)


def test_files_and_commands_are_given(guest: Any, tmp_path: Path) -> None:
    said = settle(guest, tmp_path, fix(f"cat {tmp_path}/x", files=(File(f"{tmp_path}/x", "y"),)))
    assert said.startswith("# it lacks something\n")
    assert "\ny\n" in said


def test_a_fix_that_fails_says_nothing_of_the_distro(guest: Any, tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"what its image lacks: .* exited with 7") as caught:
        settle(guest, tmp_path, fix("echo nobody answers >&2; exit 7"))
    assert "nobody answers" in caught.value.detail


def test_so_does_one_that_does_not_end(
    guest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "INSTALL_SECONDS", 0.1)
    with pytest.raises(TestbedError, match="did not end"):
        settle(guest, tmp_path, fix("exec sleep 60"))


def test_a_fix_waits_for_the_lock(guest: Any, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    line = f"[ -e {mark} ] && echo done || {{ touch {mark}; echo toy is locked >&2; exit 1; }}"
    assert "\ndone\n" in settle(guest, tmp_path, fix(line))


def test_a_busybox_that_needs_libraries_is_replaced(
    guest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("chroot")
    if platform.machine() != "x86_64":
        pytest.skip("the program is one of x86_64")
    monkeypatch.undo()
    monkeypatch.setitem(packages._MAKERS, "toy", Toy)
    there = tmp_path / "bin" / "busybox"
    there.parent.mkdir()
    shutil.copy(str(shutil.which("true")), there)
    monkeypatch.setenv("PATH", str(there.parent), prepend=":")
    ours = tmp_path / "cache" / taking.PROGRAMS / "busybox-x86_64"
    ours.parent.mkdir(parents=True)
    ours.write_bytes(static())
    settle(guest, tmp_path)
    assert there.read_bytes() == static()
    ours.unlink()
    settle(guest, tmp_path)  # nobody is asked for another


def test_a_busybox_that_cannot_be_had_is_told(
    guest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sourcing, "BUSYBOX_ALONE", "false")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "mmdebstrap").write_text("#!/bin/sh\necho no mirror\nexit 25\n")
    (tools / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    with pytest.raises(TestbedError, match="no static busybox for x86_64") as caught:
        settle(guest, tmp_path)
    assert "no mirror" in caught.value.detail
    assert caught.value.command.endswith("/cache/.programs/busybox-x86_64")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.name == "busybox"]
