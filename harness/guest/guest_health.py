# Python 3.6, few imports (each costs time under emulation), and printing is what it is for:
# ruff: noqa: PTH123, T201
"""Runs in the guest as root, fed to ``python3 -I -``: what it lacks, whatever its distro is.

Standard library of Python 3.6 only.  The one argument is the login user; prints a JSON list of
sentences, empty where nothing is lacking.
"""

import contextlib
import json
import os
import pwd
import re
import subprocess
import sys

ENOUGH = 100 << 20  # bytes of a file system; of a small one the twentieth part
ENOUGH_MEMORY = 16 << 10  # KiB, as /proc/meminfo counts
DISK_FAILS = r"EXT4-fs error.*|I/O error, dev [sv]d.*|Remounting filesystem read-only.*"
# "Memory cgroup out of memory: Killed process 7 (dd)" is a limit that does its work.
OUT_OF_MEMORY = r"(?<!cgroup )[Oo]ut of memory: Kill.*"


def kernel_says(text: str, signs: str) -> "list[str]":
    """The first line of the kernel's that has one of *signs*, from there on."""
    found = re.search(signs, text)
    return ["the kernel says: " + found.group().strip()] if found else []


def full(path: str) -> bool:
    """Whether the file system below *path* has no room left, or no inode."""
    seen = os.statvfs(path)
    no_block = seen.f_bavail * seen.f_frsize < min(ENOUGH, seen.f_blocks * seen.f_frsize // 20)
    return no_block or bool(seen.f_files and not seen.f_favail)


def places(user: str) -> "list[str]":
    """Where programs of the machine and of *user* write."""
    found = ["/", "/tmp", "/home", "/run"]
    with contextlib.suppress(KeyError):
        account = pwd.getpwnam(user)
        found += [account.pw_dir, "/run/user/" + str(account.pw_uid)]
    return found


def no_room(paths: "list[str]") -> "list[str]":
    lacking = []
    for path in paths:
        with contextlib.suppress(OSError):
            if full(path):
                lacking.append("no room left on " + path)
    return lacking


def no_memory() -> "list[str]":
    with open("/proc/meminfo") as handle:
        found = re.search(r"^MemAvailable: *(\d+) kB", handle.read(), re.MULTILINE)
    if found and int(found.group(1)) < ENOUGH_MEMORY:
        return ["no memory left: " + found.group()]
    return []


def messages() -> str:
    try:
        return subprocess.check_output(["dmesg"], stderr=subprocess.DEVNULL).decode(
            "utf-8", "replace"
        )
    except (OSError, subprocess.SubprocessError):
        return ""


def main() -> None:
    # A kernel that is told to be quiet says nothing of it on the console.
    said = kernel_says(messages(), DISK_FAILS + "|" + OUT_OF_MEMORY)
    print(json.dumps(no_room(places(sys.argv[1])) + no_memory() + said))


if __name__ == "__main__":
    main()
