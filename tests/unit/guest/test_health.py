"""What keeps a guest from speaking for its distro."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import TestbedError
from harness.guest.guest import Access, Guest
from harness.guest.guest_health import (
    DISK_FAILS,
    OUT_OF_MEMORY,
    full,
    kernel_says,
    no_memory,
    no_room,
    places,
)
from harness.guest.session import Result
from harness.hypervisor.console import Console

OOM = "[   61.2] Out of memory: Killed process 812 (dockerd) total-vm:1830012kB"
FAILS = "[   12.4] EXT4-fs error (device vda): ext4_find_entry:1463: inode #12: comm sh: reading"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (OOM, True),
        ("[  9.1] Out of memory: Kill process 77 (dd) score 900 or sacrifice child", True),
        ("[  9.1] Memory cgroup out of memory: Killed process 77 (dd) total-vm:262716kB", False),
        ("[  9.1] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x", False),
        (FAILS, True),
        ("[  9.1] EXT4-fs (vda): Remounting filesystem read-only", True),
        ("[  9.1] EXT4-fs (vda): re-mounted 1b2c ro. Quota mode: none.", False),
        ("[  9.1] blk_update_request: I/O error, dev vda, sector 8 op 0x1:(WRITE)", True),
        ("[  9.1] blk_update_request: I/O error, dev fd0, sector 0", False),
        ("fork/exec /proc/self/exe: no space left on device", False),
    ],
)
def test_what_the_kernel_says(line: str, said: bool) -> None:
    text = f"[  8.0] usual\r\n{line}\r\n[ 70.0] usual\r\n"
    assert bool(kernel_says(text, f"{DISK_FAILS}|{OUT_OF_MEMORY}")) == said


@pytest.mark.parametrize(
    ("blocks", "free", "files", "free_files", "is_full"),
    [
        (2 << 20, 1 << 20, 99, 9, False),
        (2 << 20, 25_599, 99, 9, True),  # of 4 KiB: 100 MiB
        (2 << 20, 25_600, 99, 9, False),
        (2 << 20, 1 << 20, 99, 0, True),
        (2 << 20, 1 << 20, 0, 0, False),  # btrfs counts none
        (6000, 301, 99, 9, False),  # a runtime directory on a small machine
        (6000, 299, 99, 9, True),
        (0, 0, 0, 0, False),  # proc
    ],
)
def test_what_is_full(
    blocks: int, free: int, files: int, free_files: int, is_full: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    seen = os.statvfs_result((4096, 4096, blocks, free + 99, free, files, 9, free_files, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: seen)
    assert full("/x") == is_full
    assert no_room(["/x"]) == (["no room left on /x"] if is_full else [])


def test_what_is_not_there_is_not_full() -> None:
    assert no_room(["/nonexistent"]) == []
    assert places("root")[-2:] == ["/root", "/run/user/0"]
    assert "/tmp" in places("nobody-of-that-name")
    assert no_memory() == []


def guest(tmp_path: Path, console: str, lacks: str = "[]", *, altered: bool = False) -> Guest:
    (tmp_path / "console.log").write_text(console)
    machine: Any = SimpleNamespace(
        console=Console(tmp_path / "console.log"), running=True, paused=False
    )
    made = Guest(
        "cell", machine, Access(None, "", "tester"), scale=1.0, altered=altered  # type: ignore[arg-type]
    )  # fmt: skip
    root: Any = SimpleNamespace(alive=True, run=lambda *a, **_: Result(a, 0, lacks, "", 0.1))
    made._connections["root"] = root
    return made


def test_a_guest_that_lacks_nothing(tmp_path: Path) -> None:
    guest(tmp_path, "login:").check_health()


@pytest.mark.parametrize(
    ("console", "lacks", "what"),
    [
        (OOM, "[]", "the kernel says: Out of memory: Killed process 812"),
        (FAILS, "[]", "the kernel says: EXT4-fs error"),
        ("login:", '["no room left on /", "no memory left"]', "no room left on /; no memory left"),
        ("login:", "Traceback", "a probe script failed"),
    ],
)
def test_one_that_does(tmp_path: Path, console: str, lacks: str, what: str) -> None:
    with pytest.raises(TestbedError, match=what):
        guest(tmp_path, console, lacks).check_health()


def test_what_is_lacking_on_purpose_is_no_trouble(tmp_path: Path) -> None:
    """A hook may fill a disk; it does not make one fail."""
    guest(tmp_path, OOM, '["no room left on /"]', altered=True).check_health()
    with pytest.raises(TestbedError, match="EXT4-fs error"):
        guest(tmp_path, FAILS, altered=True).check_health()
