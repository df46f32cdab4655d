# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH114, PTH115, PTH116, PTH118, PTH208
"""Runs in the guest: who may do what with files and directories, and whether there is room."""

import contextlib
import fcntl
import os
import re
import stat
import struct
import sys

from harness.guest.guest_health import full
from harness.rootless.suspects.guest_notes import note, owner

GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS of linux/fs.h, where a long has 64 bits
FLAGS = {0x10: "immutable", 0x20: "append-only"}  # FS_IMMUTABLE_FL, FS_APPEND_FL
KINDS = {stat.S_IFDIR: "directory", stat.S_IFSOCK: "socket", stat.S_IFLNK: "link"}


# What linux/posix_acl.h calls the entries that no mode has.
NAMED = {2: "user", 8: "group"}


def acl(path: str) -> None:
    """Note the access control list, which gives more or less than the mode says.

    As linux/posix_acl_xattr.h has it: a version, and for each entry tag, permissions and id.
    """
    try:
        raw = os.getxattr(path, "system.posix_acl_access")
        entries = list(struct.iter_unpack("<HHI", raw[4:]))
    except (OSError, struct.error):  # none is there, or the file system has no such thing
        return
    told = [
        f"{NAMED[tag]} {owner(who) if tag == 2 else who} "
        + "".join(c if has & bit else "-" for c, bit in (("r", 4), ("w", 2), ("x", 1)))
        for tag, has, who in entries
        if tag in NAMED
    ]
    said = ", ".join(told) or "nobody else"
    note("acl " + path, f"{path} has an access control list: {said}", True, raw.hex())


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
            acl(path)


def attributes(paths: "list[str]") -> None:
    """Note what not even its owner may change, and what others may by more than the mode."""
    for path in paths:
        acl(path)
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
                acl(path)


def of_root(directory: str, levels: int = 3) -> None:
    """Note what is root's deep below a directory of the user's, where nothing ought to be."""
    for path, below, names in os.walk(directory):
        depth = path[len(directory):].count("/") + 1
        for name in sorted([*below, *names]) if depth > 1 else []:  # the rest are leftovers
            inside = os.path.join(path, name)
            with contextlib.suppress(OSError):
                status = os.lstat(inside)
                if status.st_uid == 0:
                    kind = KINDS.get(stat.S_IFMT(status.st_mode), "file")
                    mode = f"{stat.S_IMODE(status.st_mode):o}"
                    told = f"{inside} is there: a {kind} of root with mode {mode}"
                    note("entry " + inside, told, True)
        below[:] = sorted(below) if depth < levels else []


def room(paths: "list[str]") -> None:
    """Note which file systems are full."""
    for path in paths:
        with contextlib.suppress(OSError):
            odd = full(path)
            note("room " + path, f"{path} has {'no ' if odd else ''}room left", odd)
