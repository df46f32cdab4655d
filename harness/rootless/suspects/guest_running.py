# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH110, PTH115, PTH116, PTH119, PTH208
"""Runs in the guest: what runs, as whom, and what the kernel was told."""

import os
import re

from harness.rootless.suspects.guest_notes import note, owner, read, run

DAEMONS = {"dockerd", "rootlesskit", "containerd", "slirp4netns", "pasta", "lxc-user-nic"}
FILTERS = re.compile(r"-j (DROP|REJECT)|DROP \[")


def look() -> None:
    processes()
    listeners()
    firewall()
    machine()


def processes() -> None:
    """Note how the daemons run: as whom, in whose user namespace, with which words."""
    initial = namespace("1")
    for pid in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        line = read(f"/proc/{pid}/cmdline").decode("utf-8", "replace").split("\0")[:-1]
        name = os.path.basename(line[0]) if line else ""
        if name == "exe" or (name.endswith("sh") and len(line) > 1):
            name = os.path.basename(line[1]) if name != "exe" else "rootlesskit"
        if name not in DAEMONS:
            continue
        try:
            uid = os.stat("/proc/" + pid).st_uid
        except OSError:
            continue
        inside = namespace(pid) != initial
        as_root = uid == 0 and not inside and name in ("dockerd", "rootlesskit")
        where = "a user namespace" if inside else "the user namespace of the machine"
        arguments = " ".join("PID" if os.path.exists("/proc/" + a) and a else a for a in line[1:])
        arguments = re.sub("/tmp/rootlesskit[0-9]+", "/tmp/rootlesskit", arguments)
        text = f"{name} runs as {owner(uid)} in {where}: {name} {arguments}"[:400]
        note(f"process {name} {owner(uid)} {inside}", text, as_root)
        for entry in sorted(read(f"/proc/{pid}/environ").decode("utf-8", "replace").split("\0")):
            variable = entry.partition("=")[0]
            if variable.startswith(("DOCKER", "LD_")) and "_CHILD" not in variable:
                forced = variable.startswith(("DOCKERD_ROOTLESS_ROOTLESSKIT_", "LD_"))
                note(f"environment {name} {inside} {variable}", f"{name} runs with {entry}",
                     forced and not inside)  # fmt: skip


def namespace(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/user")
    except OSError:
        return ""


def listeners() -> None:
    """Note which TCP ports are taken."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).decode().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if state == "0A":
                port = int(local.rpartition(":")[2], 16)
                note(f"port {port}", f"something listens on TCP port {port}")


def firewall() -> None:
    """Note the rules that keep something out; those of the daemon are as they should be."""
    for command in ("iptables-save", "ip6tables-save"):
        for line in run(command).splitlines():
            if line.startswith(("-A", ":")) and FILTERS.search(line):
                rule = re.sub(r" ?\[[0-9:]*\]", "", line)
                own = "DOCKER" in rule or rule.startswith(":FORWARD")
                note(f"firewall {command} {rule}", f"{command} says {rule}", not own)


def machine() -> None:
    """Note arguments, failed units, mounts and profiles."""
    for word in read("/proc/cmdline").decode().split():
        note("argument " + word, "the kernel was started with " + word)
    for line in run("systemctl", "--failed", "--plain", "--no-legend", "--no-pager").splitlines():
        unit = line.partition(" ")[0]
        note("failed " + unit, f"the unit {unit} has failed", True)
    for line in read("/proc/mounts").decode("utf-8", "replace").splitlines():
        _, where, _, options = line.split()[:4]
        if where in ("/", "/proc", "/tmp", "/home", "/var", "/usr", "/sys/fs/cgroup"):
            kept = ",".join(o for o in options.split(",") if not o.startswith(("size=", "nr_")))
            odd = where in ("/", "/usr", "/home", "/var") and "nosuid" in options
            note("mount " + where, f"{where} is mounted {kept}", odd or "hidepid" in options)
    for line in run("cat", "/sys/kernel/security/apparmor/profiles").splitlines():
        if "docker" in line or "rootlesskit" in line or "slirp" in line or "runc" in line:
            note("profile " + line, "AppArmor has the profile " + line)
