"""On a narrow terminal words are folded: nothing of a table is cut off."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from harness.distros.base import S390X

ROOT = Path(__file__).parents[3]
COMMANDS = ["matrix", "image list --upstream", "trait list", "bug list", "doctor", "claims"]


def shown(words: list[str], columns: int, cache: Path) -> tuple[str, int]:
    """What is written on a terminal of so many columns, and the exit status."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "FORCE_COLOR")}
    env |= {"TERM": "xterm", "NO_COLOR": "1", "ROOTLESS_HARNESS_CACHE": str(cache)}
    child = subprocess.Popen([sys.executable, "-m", "harness.cli", *words], cwd=ROOT, env=env,
                             stdin=its, stdout=its, stderr=its)  # fmt: skip
    os.close(its)
    said = b""
    while True:
        try:
            more = os.read(ours, 1 << 16)
        except OSError:  # EIO: nobody holds the other end any more
            break
        if not more:
            break
        said += more
    os.close(ours)
    return said.decode(), child.wait()


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_cut_off(command: str, columns: int, tmp_path: Path) -> None:
    said, status = shown(command.split(), columns, tmp_path)
    assert status == 0 or command == "doctor", said
    assert "…" not in said
    if command == "matrix":
        assert max(map(len, said.splitlines())) <= columns


def test_reasons_have_lines_of_their_own_on_a_narrow_one(tmp_path: Path) -> None:
    said, _ = shown(["matrix", "--cell", "debian-12/s390x"], 40, tmp_path)
    cell, status, *reason = said.splitlines()
    assert (cell, status) == ("debian-12/s390x", "  unsupported")
    words = " ".join(line.strip() for line in reason)
    assert words == S390X


def test_cells_are_whole_on_a_usual_terminal(tmp_path: Path) -> None:
    said, _ = shown(["matrix", "--distro", "opensuse"], 80, tmp_path)
    assert re.search(r"^opensuse-tumbleweed/x86_64(\+twin)? ", said, re.MULTILINE)
