# Python 3.6, few imports (each costs time under emulation):
# ruff: noqa: PTH113, PTH116, PTH118
"""Runs in the guest, carried there by :func:`harness.guest.probe.script`: programs as files."""

import os
import re
import stat
from typing import Any


def find(name: str, directories: "list[str]") -> str:
    for directory in directories:
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""


def binary(path: str) -> "dict[str, Any] | None":
    """The xattr stays in hexadecimal; the host knows the names of the capabilities."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    try:
        xattr = os.getxattr(path, "security.capability").hex()
    except OSError:
        xattr = ""
    mode = stat.S_IMODE(status.st_mode)
    return {"path": path, "owner": status.st_uid, "mode": mode, "xattr": xattr}


def spellings(path: str) -> "list[str]":
    """The names a package may list this file under: symlinks resolved, both of usrmerge."""
    found = []
    for one in (os.path.realpath(path), path):
        short = re.sub(r"^/usr(?=/(s?bin|lib)/)", "", one)
        found += [one, short]
        if re.match(r"/(s?bin|lib)/", short):
            found.append("/usr" + short)
    return sorted(set(found), key=found.index)
