# Python 3.6, few imports (each costs time under emulation), and printing is what it is for:
# ruff: noqa: PTH110, PTH115, PTH116, PTH118, PTH123, PTH208, T201
"""Runs in the guest as root, fed to ``python3 -I -``: the evidence about one running container.

Standard library of Python 3.6 only, no import of the harness.  The one argument is a JSON object
with ``pid`` (the container's init, as the initial PID namespace numbers it), ``api_socket`` (a
path, or empty for an engine without a daemon), ``user`` and ``directory`` (of the watcher, or
empty).  Prints one JSON object; it judges nothing.
"""

import contextlib
import fcntl
import grp
import json
import os
import pwd
import stat
import struct
import sys
from typing import Any

NS_GET_PARENT = 0xB702
NS_GET_OWNER_UID = 0xB704
INITIAL = {"user": 0xEFFFFFFD, "pid": 0xEFFFFFFC}  # fixed numbers in the kernel
# What logs a user in and looks after sessions: never part of the runtime.
LOGIN = {"systemd", "init", "(sd-pam)", "systemd-logind", "dbus-daemon", "dbus-broker"}
LOGIN |= {"sshd", "sshd-session", "login", "agetty", "su", "runuser"}
# comm is cut at 15 characters; rootlesskit re-executes itself as /proc/self/exe.
HELPERS = {"slirp4netns", "rootlesskit", "rootlesskit-doc", "docker-proxy", "pasta", "passt"}
HELPERS |= {"pasta.avx2", "passt.avx2", "vpnkit", "exe", "conmon", "gvisor-tap-vsock", "gvproxy"}
# Those that an engine without a daemon leaves behind: no ancestor tells whose they are.
DETACHED = {"slirp4netns", "pasta", "pasta.avx2", "passt", "passt.avx2", "conmon"}
TUN = os.makedev(10, 200)  # the kernel's list of devices: /dev/net/tun


def read(path: str) -> str:
    try:
        with open(path, errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def ns_inode(pid: int, kind: str) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino
    except OSError:
        return 0


def process(pid: int) -> "dict[str, Any] | None":
    status = dict(
        line.split(":\t", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":\t" in line
    )
    if "Uid" not in status or "VmSize" not in status:  # gone, a zombie or a kernel thread
        return None
    return {
        "pid": pid,
        "ppid": int(status["PPid"]),
        "comm": status["Name"],
        "uids": [int(word) for word in status["Uid"].split()],
        "gids": {int(word) for word in (status["Gid"] + " " + status["Groups"]).split()},
        "permitted": int(status.get("CapPrm", "0"), 16),
        "effective": int(status.get("CapEff", "0"), 16),
        "ambient": int(status.get("CapAmb", "0"), 16),
        "userns": ns_inode(pid, "user"),
        "pidns": ns_inode(pid, "pid"),
        "netns": ns_inode(pid, "net"),
        "cgroup": read(f"/proc/{pid}/cgroup").splitlines(),
        "roles": [],
    }


def processes() -> "dict[int, dict[str, Any]]":
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            one = process(int(name))
            if one:
                found[one["pid"]] = one
    return found


def executable(pid: int) -> "dict[str, Any]":
    link = f"/proc/{pid}/exe"
    try:
        status = os.stat(link)
        file = {"path": os.readlink(link), "owner": status.st_uid}
        file["mode"] = stat.S_IMODE(status.st_mode)
    except OSError:
        return {"path": "", "owner": 0, "mode": 0, "xattr": ""}
    try:
        file["xattr"] = os.getxattr(link, "security.capability").hex()
    except OSError:
        file["xattr"] = ""
    return file


def socket_owners(path: str, every: "dict[int, dict[str, Any]]") -> "list[int]":
    """Who holds the API socket.  A daemon in its own network namespace is only listed there."""
    wanted, inodes, seen = {path, os.path.realpath(path)}, set(), set()
    for pid, one in every.items():
        if one["netns"] in seen:
            continue
        seen.add(one["netns"])
        for line in read(f"/proc/{pid}/net/unix").splitlines()[1:]:
            words = line.split(None, 7)
            if len(words) == 8 and words[7] in wanted:
                inodes.add(f"socket:[{words[6]}]")
    owners = []
    for pid in every:
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                    owners.append(pid)
                    break
    return owners


def carries_network(pid: int, tree: "set[int]") -> bool:
    """Whether its command line names a process of *tree*, and it holds a TUN or TAP device."""
    words = read(f"/proc/{pid}/cmdline").replace("/", "\0").split("\0")
    if not tree.intersection(int(word) for word in words if word.isdigit()):
        return False
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{pid}/fd/{fd}").st_rdev == TUN:
                    return True
    return False


class Selection:
    """Which processes belong to the runtime, and as what."""

    def __init__(self, every: "dict[int, dict[str, Any]]") -> None:
        self.every = every

    def add(self, pid: int, role: str) -> None:
        one = self.every.get(pid)
        if one and not self.session(pid) and role not in one["roles"]:
            one["roles"].append(role)

    def session(self, pid: int) -> bool:
        """Part of logging in; inside a container those names mean nothing."""
        one = self.every[pid]
        return pid == 1 or (one["comm"] in LOGIN and one["pidns"] == INITIAL["pid"])

    def chain(self, pid: int) -> "list[int]":
        """The ancestors, up to whatever logged the user in or looks after the session."""
        found = []
        pid = self.every[pid]["ppid"] if pid in self.every else 0
        while pid in self.every and not self.session(pid):
            found.append(pid)
            pid = self.every[pid]["ppid"]
        return found

    def below(self, tops: "set[int]") -> "set[int]":
        found, grew = set(tops), True
        while grew:
            more = {pid for pid, one in self.every.items() if one["ppid"] in found} - found
            found |= more
            grew = bool(more)
        return found - tops

    def named(self) -> "set[int]":
        return {pid for pid, one in self.every.items() if one["roles"]}


def select(
    every: "dict[int, dict[str, Any]]", init: int, api_socket: str, uid: int,
    spaces: "frozenset[int]" = frozenset(),
) -> None:  # fmt: skip
    """*spaces*: the user namespaces from the container's up to the initial one, without that."""
    chosen = Selection(every)
    chosen.add(init, "init")
    inside, children = every[init]["pidns"], chosen.below({init})
    for pid, one in every.items():
        if pid in children or one["pidns"] == inside != INITIAL["pid"]:
            chosen.add(pid, "container")
    for pid in chosen.chain(init):
        chosen.add(pid, "ancestor")
    owners = set(socket_owners(api_socket, every) if api_socket else [])
    owners = {pid for pid in owners if not chosen.session(pid)}
    for owner in owners:
        chosen.add(owner, "api-socket")
        for pid in chosen.chain(owner):
            chosen.add(pid, "daemon-ancestor")
    units = [every[pid]["cgroup"] for pid in owners | set(chosen.chain(init))]
    units = [lines for lines in units if lines and lines[-1].endswith(".service")]
    for pid in chosen.below(owners) | {p for p, one in every.items() if one["cgroup"] in units}:
        if every[pid]["pidns"] == INITIAL["pid"]:  # not the inside of other containers
            chosen.add(pid, "daemon")
    tree = chosen.below(chosen.named()) | chosen.named()
    for pid, one in every.items():
        left_behind = one["comm"] in DETACHED and one["uids"][0] == uid != 0
        if one["comm"] in HELPERS and (pid in tree or (left_behind and not chosen.chain(pid))):
            chosen.add(pid, "helper")
    # Whoever runs it, by whatever name: asked for elsewhere it has no ancestor here.
    for pid, one in every.items():
        if not one["roles"] and carries_network(pid, tree):
            chosen.add(pid, "helper")
    # What an engine without a daemon leaves there to hold the namespaces, whatever its name.
    for pid, one in every.items():
        if one["userns"] in spaces and not one["roles"]:
            chosen.add(pid, "same-userns")


def userns_chain(pid: int) -> "dict[str, Any]":
    """From the container's user namespace up to the initial one, which is not listed."""
    found = []
    try:
        fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        while os.fstat(fd).st_ino != INITIAL["user"]:
            owner = fcntl.ioctl(fd, NS_GET_OWNER_UID, struct.pack("=I", 0))
            found.append({"inode": os.fstat(fd).st_ino, "owner": struct.unpack("=I", owner)[0]})
            parent = fcntl.ioctl(fd, NS_GET_PARENT)
            os.close(fd)
            fd = parent
        os.close(fd)
    except OSError as error:
        return {"namespaces": found, "error": "the kernel does not tell: " + str(error)}
    return {"namespaces": found, "error": ""}


def id_map(pid: int, kind: str) -> "list[list[int]]":
    lines = read(f"/proc/{pid}/{kind}_map").splitlines()
    return [[int(word) for word in line.split()] for line in lines]


def executions(directory: str) -> "list[dict[str, Any]] | None":
    if not directory or not os.path.exists(os.path.join(directory, "events")):
        return None
    found = []
    for text in read(os.path.join(directory, "events")).splitlines():
        line = json.loads(text)
        if "path" in line:
            line["alive"] = executable(line["pid"])["path"] == line["path"]
        found.append(line)
    return found


def membership(user: str) -> "dict[str, Any]":
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return {"name": user, "uid": -1, "groups": []}
    names = sorted(group_name(gid) for gid in os.getgrouplist(user, entry.pw_gid))
    return {"name": user, "uid": entry.pw_uid, "groups": names}


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def main() -> None:
    request = json.loads(sys.argv[1])
    init = request["pid"]
    user = membership(request["user"])
    every = processes()
    if init not in every:
        print(json.dumps({"error": f"no process {init}: the container has ended"}))
        return
    chain = userns_chain(init)
    spaces = frozenset(one["inode"] for one in chain["namespaces"])
    select(every, init, request["api_socket"], user["uid"], spaces)
    involved = [every[pid] for pid in sorted(every) if every[pid]["roles"]]
    for one in involved:
        one["executable"] = executable(one["pid"])
        one["groups"] = sorted(group_name(gid) for gid in one.pop("gids"))
        one["cgroup"] = one["cgroup"][0] if one["cgroup"] else ""
        one["uid_map"], one["gid_map"] = id_map(one["pid"], "uid"), id_map(one["pid"], "gid")
    events = executions(request["directory"])
    evidence = {
        "observer": {kind: ns_inode(os.getpid(), kind) == INITIAL[kind] for kind in INITIAL},
        "user": user,
        "processes": involved,
        "userns": chain,
        "executions": events and [e for e in events if "path" in e],
        "executions_seen": None if events is None else len(events),
        "overflow": any("overflow" in e for e in events or []),
    }
    print(json.dumps(evidence))


if __name__ == "__main__":
    main()
