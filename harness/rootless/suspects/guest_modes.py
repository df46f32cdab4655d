# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH114, PTH115, PTH116, PTH118, PTH208
"""Runs in the guest: who may do what with files and directories, and whether there is room."""

import contextlib
import fcntl
import os
import re
import stat
import sys

from harness.guest.guest_health import full
from harness.rootless.suspects.guest_notes import note, owner

GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS of linux/fs.h, where a long has 64 bits
FLAGS = {0x10: "immutable", 0x20: "append-only"}  # FS_IMMUTABLE_FL, FS_APPEND_FL
KINDS = {stat.S_IFDIR: "directory", stat.S_IFSOCK: "socket", stat.S_IFLNK: "link"}


def permissions(paths: "list[str]") -> None:
    """Note who may use what is not everybody's, and what is."""
    for path in paths:
        with contextlib.suppress(OSError):
            if os.path.islink(path):
                note("link " + path, f"{path} leads to {os.readlink(path)}")
            status = os.stat(path)
            mode = f"{stat.S_IMODE(status.st_mode):o}"
            kind = KINDS.get(stat.S_IFMT(status.st_mode), "file")
            told = f"the {kind} {path} of {owner(status.st_uid)} has mode {mode}"
            note("mode " + path, told)


def attributes(paths: "list[str]") -> None:
    """Note what not even its owner may change."""
    for path in paths:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                flags = int.from_bytes(fcntl.ioctl(descriptor, GET_FLAGS, bytes(8)), sys.byteorder)
            finally:
                os.close(descriptor)
            for flag, name in FLAGS.items():
                if flags & flag:
                    note("attribute " + path, f"{path} is {name} (chattr)", odd=True)


def leftovers(directory: str, pattern: "re.Pattern[str]" = re.compile("")) -> None:
    """Note what a daemon has, or left behind, in its directories."""
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(directory)) if directory else []:
            if pattern.search(name):
                path = os.path.join(directory, name)
                status = os.lstat(path)
                kind = KINDS.get(stat.S_IFMT(status.st_mode), "file")
                odd = status.st_uid == 0
                mode = f"{stat.S_IMODE(status.st_mode):o}"
                told = f"{path} is there: a {kind} of {owner(status.st_uid)} with mode {mode}"
                note("entry " + path, told, odd)


def room(paths: "list[str]") -> None:
    """Note which file systems are full."""
    for path in paths:
        with contextlib.suppress(OSError):
            odd = full(path)
            note("room " + path, f"{path} has {'no ' if odd else ''}room left", odd)
