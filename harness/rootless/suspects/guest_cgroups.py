# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH110, PTH119, PTH120, PTH208, SIM905
"""Runs in the guest: what cgroups were given, and what runs in none that a service has."""

import os
import re

from harness.rootless.suspects.guest_notes import CONTROL, WIDTH, namespace, note, owner, read

TOP = "/sys/fs/cgroup"
GIVEN = "pids.max memory.max memory.high cpu.max cgroup.freeze".split()  # of cgroup v2
USERS_MANAGER = re.compile(r".*/user@\d+\.service(?=/|$)")
# What a unit's file starts, the two systemds, and what an engine's containers have.
OF_A_UNIT = re.compile(r"^$|/(?!run-)[^/]*\.service(/|$)|/init\.scope$|docker")
OF_A_LOGIN = re.compile(r"sshd\b|sshd-|sftp-server$")


def group_of(pid: str) -> str:
    """The cgroup, with v1 the one that systemd goes by."""
    return read(f"/proc/{pid}/cgroup").decode("utf-8", "replace").strip().rpartition(":")[2]


def given(process: str, group: str) -> None:
    """Note what limits *group* and those above it, whoever wrote that, and which is frozen.

    Not that nothing does: which files say so goes by what other units ask for.
    """
    while len(group) > 1:
        for name in GIVEN:
            value = read(TOP + group + "/" + name).decode().strip()
            if not value or value == "0" or value.startswith("max"):
                continue
            # A share of what the kernel allows, which goes by the memory that it found left.
            roughly = name == "pids.max" and len(value) > 3
            compared = f"{len(value)} digits" if roughly else value
            told = f"{name} of the cgroup {group} is {value}"
            note(f"{process}\t{name} of {group}", told, name == "cgroup.freeze", compared)
        group = os.path.dirname(group)


def strays(daemons: "set[str]") -> None:
    """Note what runs outside of services: no file of configuration tells of it.

    Of a process and what it started, the first; neither *daemons* and what is in their user
    namespace, which are noted elsewhere, nor a login and what this runs by.
    """
    initial, here = namespace("1"), ancestors()
    stray: dict[str, str] = {}
    for pid in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        said = read(f"/proc/{pid}/cmdline").decode("utf-8", "replace").split("\0")[:-1]
        if not said or pid in here or namespace(pid) != initial:
            continue
        names = {os.path.basename(word).partition(".")[0] for word in said[:2]}
        if names & daemons or said[0] == "/proc/self/exe":
            continue
        if OF_A_LOGIN.match(os.path.basename(said[0].partition(" ")[0])):
            continue
        if OF_A_UNIT.search(USERS_MANAGER.sub("", group_of(pid))):
            continue
        words = ("PID" if os.path.exists("/proc/" + word) and word else word for word in said)
        stray[pid] = CONTROL.sub("", " ".join(" ".join(words).split()))[:WIDTH]
    for pid, text in stray.items():
        uid, parent = identity(pid)
        if uid >= 0 and parent not in stray:
            note(f"stray {owner(uid)} {text}", f"{owner(uid)} runs outside of any service: {text}")


def ancestors() -> "set[str]":
    """This process, and those that it was started by."""
    pids, pid = set(), str(os.getpid())
    while pid not in ("0", "1", ""):
        pids.add(pid)
        pid = identity(pid)[1]
    return pids


def identity(pid: str) -> "tuple[int, str]":
    """The user and the parent of a process; -1 and nothing once it has ended."""
    status = read(f"/proc/{pid}/status").decode("utf-8", "replace")
    found = re.search(r"^PPid:\t(\d+)\n(?:.*\n)*?Uid:\t\d+\t(\d+)", status, re.MULTILINE)
    return (int(found.group(2)), found.group(1)) if found else (-1, "")
