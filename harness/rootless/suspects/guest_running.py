# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH110, PTH116, PTH119, PTH208, SIM905
"""Runs in the guest: what runs, as whom, and what the kernel was told."""

import os
import re

from harness.rootless.renamed import original
from harness.rootless.suspects.guest_cgroups import given, group_of, strays
from harness.rootless.suspects.guest_network import look as look_at_networks
from harness.rootless.suspects.guest_notes import namespace, note, owner, read, run

DAEMONS = {"dockerd", "rootlesskit", "containerd", "slirp4netns", "pasta", "lxc-user-nic"}
# A bit, a filter or a limit that a unit, PAM or a profile may have given.
STATUS = ("NoNewPrivs", "Seccomp", "CapPrm", "CapBnd", "CapAmb")
LIMITS = ("Max processes", "Max open files", "Max address space", "Max locked memory")
# Comes and goes by itself, or is a container's.
PASSING = re.compile("/run/credentials/|/proc/sys/fs/binfmt_misc|/(docker|containerd)/")
# Options that no two guests share.
NUMBERS = ("size=", "nr_", "fd=", "pgrp=", "pipe_ino=")
# No file system of the kernel's own that belongs below /proc or /sys.
ELSEWHERE = {"tmpfs", "devtmpfs", "proc", "sysfs", "ext4", "xfs", "btrfs", "overlay"}
OF_ROOT = ("user@0.service", "user-0.slice")  # the harness's own login
OF_UNITS = (
    "Delegate DelegateControllers NoNewPrivileges MemoryMax MemoryHigh TasksMax "
    "CPUQuotaPerSecUSec AmbientCapabilities CapabilityBoundingSet LimitNOFILE LimitNPROC "
    "LimitAS ProtectHome ProtectSystem PrivateUsers RestrictNamespaces LoadState "
    "IPAddressAllow IPAddressDeny DevicePolicy DeviceAllow PrivateDevices PrivateNetwork "
    "SystemCallFilter RestrictAddressFamilies"
).split()
# Without these no login has a session, nothing is logged, and no device gets its name.
NEEDED = (
    "dbus.socket systemd-logind.service systemd-journald.service systemd-udevd.service"
).split()


def look() -> None:
    look_at_networks(processes())
    strays(DAEMONS)
    listeners()
    machine()
    units()


def processes() -> "list[tuple[str, str, int]]":
    """Note how the daemons run: as whom, in whose user namespace, with which words.

    Returns name, pid and user of the engines in a user namespace.
    """
    engines = []
    initial = namespace("1")
    for pid in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        line = read(f"/proc/{pid}/cmdline").decode("utf-8", "replace").split("\0")[:-1]
        name = os.path.basename(line[0]) if line else ""
        if name == "exe" or (name.endswith("sh") and len(line) > 1):
            name = os.path.basename(line[1]) if name != "exe" else "rootlesskit"
        name = original(name, DAEMONS)
        if not name:
            continue
        try:
            uid = os.stat("/proc/" + pid).st_uid
        except OSError:
            continue
        inside = namespace(pid) != initial
        if inside and name == "dockerd":
            engines.append((name, pid, uid))
        as_root = uid == 0 and not inside and name in ("dockerd", "rootlesskit")
        where = "a user namespace" if inside else "the user namespace of the machine"
        arguments = " ".join("PID" if os.path.exists("/proc/" + a) and a else a for a in line[1:])
        arguments = re.sub("/tmp/rootlesskit[0-9]+", "/tmp/rootlesskit", arguments)
        who = f"{name} {owner(uid)} {inside}"
        text = f"{name} runs as {owner(uid)} in {where}: {name} {arguments}"[:400]
        note(f"process {who}", text, as_root)
        confinement(f"process {who}", name, pid)
        for entry in sorted(read(f"/proc/{pid}/environ").decode("utf-8", "replace").split("\0")):
            variable = entry.partition("=")[0]
            if variable.startswith(("DOCKER", "LD_")) and "_CHILD" not in variable:
                forced = variable.startswith(("DOCKERD_ROOTLESS_ROOTLESSKIT_", "LD_"))
                note(f"environment {name} {inside} {variable}", f"{name} runs with {entry}",
                     forced and not inside)  # fmt: skip
    return engines


def confinement(process: str, name: str, pid: str) -> None:
    """Note what a daemon may not do, and how much."""
    status = [line.split() for line in read(f"/proc/{pid}/status").decode().splitlines()]
    bits = " ".join("".join(words) for words in status if words and words[0][:-1] in STATUS)
    if ["State:", "T", "(stopped)"] in status:
        note(f"{process}\tstate", f"{name} is stopped", True)
    note(f"{process}\tbits", f"{name} runs with {bits}")
    limits = read(f"/proc/{pid}/limits").decode().splitlines()
    most = "; ".join(" ".join(line.split()) for line in limits if line.startswith(LIMITS))
    note(f"{process}\tlimits", f"{name} runs with {most}")
    label = read(f"/proc/{pid}/attr/current").decode("utf-8", "replace").strip("\0\n ")
    note(f"{process}\tlabel", f"{name} runs as {label or 'unlabelled'}")
    group = group_of(pid)
    note(f"{process}\tgroup", f"{name} runs in the cgroup {group}")
    given(process, group)


def units() -> None:
    """Note what systemd lets the users have, whatever file or command said so."""
    listed = run(
        "systemctl", "list-units", "--plain", "--no-legend", "--no-pager", "user@*", "user-*.slice"
    ).split()  # fmt: skip
    for unit in listed:
        if not unit.startswith("user") or unit in OF_ROOT:
            continue
        note(f"unit {unit}", f"{unit} is there")
        asked = ["systemctl", "show", "--no-pager", unit]
        for line in run(*asked, "-p", ",".join(OF_UNITS)).splitlines():
            key = f"unit {unit}\t{line.partition('=')[0]}"
            note(key, f"{unit} has {line[:160]}", value=line)


def listeners() -> None:
    """Note which TCP ports are taken."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).decode().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if state == "0A":
                port = int(local.rpartition(":")[2], 16)
                note(f"port {port}", f"something listens on TCP port {port}")


def machine() -> None:
    """Note arguments, units that failed or are needed, mounts and profiles."""
    for word in read("/proc/cmdline").decode().split():
        note("argument " + word, "the kernel was started with " + word)
    for line in run("systemctl", "--failed", "--plain", "--no-legend", "--no-pager").splitlines():
        unit = line.partition(" ")[0]
        note("failed " + unit, f"the unit {unit} has failed", True)
    answers = run("systemctl", "is-active", *NEEDED).splitlines()
    if len(answers) == len(NEEDED):  # what has another number of lines is no answer
        for unit, answer in zip(NEEDED, answers):  # noqa: B905
            note("active " + unit, f"the unit {unit} is {answer}")
    mounts(read("/proc/mounts").decode("utf-8", "replace"))
    for line in run("cat", "/sys/kernel/security/apparmor/profiles").splitlines():
        note("profile " + line.rpartition(" (")[0], "AppArmor has the profile " + line)


def mounts(table: str) -> None:
    """Note what is mounted where, from the text of /proc/mounts."""
    for line in table.splitlines():
        _, where, kind, options = line.split()[:4]
        if PASSING.search(where):
            continue
        kept = ",".join(o for o in options.split(",") if not o.startswith(NUMBERS))
        odd = where in ("/", "/usr", "/home", "/var") and re.search("nosuid|noexec", options)
        over = where.startswith(("/proc/", "/sys/")) and kind in ELSEWHERE
        over = over and where != "/sys/fs/cgroup"
        told = f"{where} is mounted {kept}"
        note("mount " + where, told, bool(odd) or over or "hidepid" in options)
