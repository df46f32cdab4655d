"""The serial console as a file, and the signs in it that a guest will never answer."""

from __future__ import annotations

import re
from pathlib import Path

EMERGENCY = "the guest is in an emergency shell"
# Sample text beside each pattern.
_FATAL = (
    (re.compile(rb"Kernel panic - not syncing: [^\r\n]*"), "the kernel panicked"),
    # "You are in emergency mode. After logging in, type ..."
    (re.compile(rb"You are in (emergency|rescue) mode"), EMERGENCY),
    # "ALERT!  LABEL=root does not exist.  Dropping to a shell!"
    (re.compile(rb"ALERT! [^\r\n]* does not exist"), "the initramfs did not find the root disk"),
    # "[!!!!!!] Failed to execute /sbin/init, giving up."
    (re.compile(rb"\[!!!!!!\] [^\r\n]*"), "init gave up"),
    # "Run /sbin/init as init process" is fine; "No working init found." is not
    (re.compile(rb"No working init found"), "there is no working init"),
)


class Console:
    """A guest's console log.  Cheap to poll: only new bytes are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._carry = b""

    def fatal(self) -> str:
        """What ended the guest, with the line that says so; empty while nothing has."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = self._carry + file.read()
                self._offset = file.tell()
        except FileNotFoundError:
            return ""
        self._carry = data[-200:]
        for pattern, meaning in _FATAL:
            match = pattern.search(data)
            if match:
                return f"{meaning}: {match.group(0).decode(errors='replace').strip()}"
        return ""

    def text(self) -> str:
        """All of it, or nothing where it is not there."""
        try:
            return self.path.read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def tail(self, lines: int = 15) -> str:
        """The last lines, without control sequences."""
        text = self.text()[-20_000:]
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc|\r", "", text)
        kept = [line for line in text.split("\n") if line.strip()]
        return "\n".join(kept[-lines:]) or "(the console is empty)"
