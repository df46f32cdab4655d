"""Text that a guest, or whoever wrote a run.json, had a hand in: fit to be shown."""

from __future__ import annotations

import re

_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # ESC [ 31 m
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # ESC ] 0 ; title BEL
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]"
)


def without_control(text: str) -> str:
    """``text`` without escape sequences and control characters; lines and tabs stay."""
    return _CONTROL.sub("", text)


def printable(text: str) -> str:
    """``text`` without escape sequences and unprintable characters; lines and tabs stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return without_control(text).encode("utf-8", "replace").decode("utf-8")


def one_line(text: str) -> str:
    """The lines of ``text`` joined, without escape sequences and unprintable characters."""
    said = printable(text)
    return " | ".join(" ".join(line.split()) for line in said.splitlines() if line.strip())
