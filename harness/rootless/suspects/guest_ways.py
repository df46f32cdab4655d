# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH116, PTH119, PTH120, SIM905
"""Runs in the guest: what lies between a user and a program: directories, and libraries."""

import contextlib
import os
import re
import stat

from harness.rootless.suspects.guest_modes import acl
from harness.rootless.suspects.guest_notes import note, owner, run

# Of these the libraries are asked for: each costs ldd two processes.
LINKED = (
    "newuidmap newgidmap slirp4netns rootlesskit fuse-overlayfs fusermount3 dockerd docker "
    "containerd runc iptables nsenter unshare ip systemctl"
).split()
LIBRARY = re.compile(r"\t(?:\S+ => )?(/\S+) \(0x")
LACKING = re.compile(r"\t(\S+) => not found|.*?(\S+: version \S+ not found .*)|"
                     r".*error while loading shared libraries: (.+)")  # fmt: skip


def libraries(programs: "list[str]") -> "list[str]":
    """The libraries that *programs* are linked to; notes those that they lack."""
    asked = [path for path in programs if os.path.basename(path) in LINKED]
    paths, lacking = linked(run("ldd", *asked) if asked else "")
    for program, what in lacking:
        note(f"library {program} {what}", f"{program} lacks {what}", True)
    return paths


def linked(said: str) -> "tuple[list[str], list[tuple[str, str]]]":
    """From what ldd said of several programs: the libraries, and which program lacks what."""
    paths, lacking, program = [], [], ""
    for line in said.splitlines():
        library, lack = LIBRARY.match(line), LACKING.match(line)
        if line.startswith("/") and line.endswith(":"):
            program = line[:-1]
        elif library:
            paths.append(library.group(1))
        elif lack:
            lacking.append((program, next(filter(None, lack.groups()))))
    return sorted(set(paths)), lacking


def ways(paths: "list[str]") -> None:
    """Note the directories that lead to *paths*.

    Those of root's are remarkable that others may not enter, or may write in.
    """
    directories = set()
    for path in paths:
        for one in (path, os.path.realpath(path)):
            while one != "/":
                one = os.path.dirname(one)
                directories.add(one)
    for directory in sorted(directories):
        with contextlib.suppress(OSError):
            status = os.stat(directory)
            mode = stat.S_IMODE(status.st_mode)
            closed = not mode & stat.S_IXOTH
            open_to_all = mode & stat.S_IWOTH and not mode & stat.S_ISVTX
            told = f"the directory {directory} of {owner(status.st_uid)} has mode {mode:o}"
            note("way " + directory, told, status.st_uid == 0 and bool(closed or open_to_all))
            acl(directory)


def readable(libraries: "list[str]") -> None:
    """Note how libraries may be read."""
    for path in libraries:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            mode = stat.S_IMODE(status.st_mode)
            told = f"the library {path} of {owner(status.st_uid)} has mode {mode:o}"
            note("mode " + path, told, not mode & stat.S_IROTH)
            acl(path)
