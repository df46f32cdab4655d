"""Signs on the console that a guest will never answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.hypervisor.console import Console


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs", "panicked"),
        ("You are in emergency mode. After logging in, type", "emergency shell"),
        ("ALERT!  LABEL=root does not exist.  Dropping to a shell!", "root disk"),
        ("[!!!!!!] Failed to execute /sbin/init, giving up.", "init gave up"),
        ("No working init found.  Try passing init= option", "no working init"),
    ],
)
def test_a_fatal_line_is_told(tmp_path: Path, line: str, word: str) -> None:
    path = tmp_path / "console.log"
    path.write_text(f"[    0.1] Linux version 6.1\n{line}\n")
    assert word in Console(path).fatal()


def test_a_healthy_boot_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("Run /sbin/init as init process\n[  OK  ] Reached target Multi-User System.\n")
    assert Console(path).fatal() == ""


def test_a_line_that_arrives_in_two_parts_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("Kernel panic - not ")
    console = Console(path)
    assert console.fatal() == ""
    with path.open("a") as file:
        file.write("syncing: Attempted to kill init!\n")
    assert "Attempted to kill init" in console.fatal()


def test_the_tail_has_no_control_sequences(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("".join(f"\x1b[32mline {n}\x1b[0m\r\n" for n in range(40)))
    assert Console(path).tail(2) == "line 38\nline 39"


def test_no_console_yet(tmp_path: Path) -> None:
    console = Console(tmp_path / "none")
    assert console.fatal() == ""
    assert "empty" in console.tail()
