# Python 3.6, few imports (each costs time under emulation), and printing is what it is for:
# ruff: noqa: PTH110, PTH112, PTH118, PTH120, PTH123, PTH208, SIM115, SIM905, T201
"""Runs in the guest as root, fed to ``python3 -I -``: gathers, and leaves reading to the host.

Standard library of Python 3.6 only (CentOS 7, Leap 15); what it imports of the harness is carried
there with it.  The arguments are the JSON of ``probe_login.py`` with ``user`` added, and what to
multiply the deadline by; prints one JSON object.  All commands start at once, because under
emulation a single exec costs tens of milliseconds.  A missing tool is an empty answer, never a
traceback: broken guests are what this is for.  Exits with OVERDUE where a command does not end.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from harness.guest.guest_files import binary, find, spellings

SBIN = ["/usr/local/sbin", "/usr/sbin", "/sbin"]
BINARIES = (
    "newuidmap newgidmap slirp4netns rootlesskit rootlesskit-docker-proxy rootlessctl "
    "fuse-overlayfs dockerd docker containerd containerd-shim-runc-v2 runc iptables nft "
    "lxc-user-nic vpnkit pasta nsenter unshare ip ping su sudo apt-get dnf yum "
    "dockerd-rootless.sh dockerd-rootless-setuptool.sh"
).split()
# What is not for users to call, and so in no PATH.
ELSEWHERE = {
    "lxc-user-nic": [
        "/usr/libexec/lxc", "/usr/lib/lxc", "/usr/lib64/lxc", "/usr/lib/x86_64-linux-gnu/lxc",
        "/usr/lib/aarch64-linux-gnu/lxc",
    ],
}  # fmt: skip
MODULES = "ip_tables nf_tables overlay br_netfilter tun sctp iptable_nat".split()
SYSCTLS = (
    "kernel.unprivileged_userns_clone user.max_user_namespaces user.max_net_namespaces "
    "user.max_mnt_namespaces kernel.apparmor_restrict_unprivileged_userns "
    "net.ipv4.ip_unprivileged_port_start net.ipv4.ping_group_range net.ipv4.ip_forward "
    "kernel.dmesg_restrict kernel.keys.maxkeys kernel.modules_disabled kernel.yama.ptrace_scope"
).split()
SETUPTOOL = "dockerd-rootless-setuptool.sh"
SETUPTOOL_DIRS = [
    "/usr/bin",
    "/usr/local/bin",
    "/usr/share/docker.io/contrib",
    "/usr/share/docker/contrib",
    "/usr/libexec/docker",
    "/usr/lib/docker",
]
NOT_STARTED = 127  # as a shell has it
DEADLINE = 20.0  # seconds for all commands together, with hardware acceleration
OVERDUE = 75  # of harness.guest.probe


def read(path: str) -> "str | None":
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return None


def names(directory: str) -> "list[str]":
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def start(argv: "list[str]") -> "tuple[subprocess.Popen[bytes], Any] | None":
    out = tempfile.TemporaryFile()
    env = dict(os.environ, LC_ALL="C", PATH=":".join([*SBIN, "/usr/bin", "/bin"]))
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env
        )
    except OSError:
        return None
    return process, out


def finish(job: "tuple[subprocess.Popen[bytes], Any] | None", deadline: float) -> "list[Any]":
    """The exit status and the output; NOT_STARTED and nothing for what could not start."""
    if job is None:
        return [NOT_STARTED, ""]
    process, out = job
    try:
        process.wait(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:  # half an answer would be a wrong one
        process.kill()
        print(" ".join(error.cmd)[:100], "did not end in time", file=sys.stderr)
        sys.exit(OVERDUE)
    out.seek(0)
    return [process.returncode, out.read().decode("utf-8", "replace")]


def package_commands(paths: "list[str]") -> "dict[str, list[str]]":
    """List everything installed, and ask once for the owner of all these files."""
    if os.path.exists("/usr/bin/dpkg-query"):
        every = [name for path in paths for name in spellings(path)]
        listing = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\\n"]
        return {"packages dpkg": listing, "owners dpkg": ["dpkg-query", "-S", *every]}
    real = [os.path.realpath(path) for path in paths]
    if os.path.exists("/usr/bin/rpm"):
        listing = ["rpm", "-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n"]
        return {"packages rpm": listing, "owners rpm": ["rpm", "-qf", "--qf", "%{NAME}\\n", *real]}
    return {"packages pacman": ["pacman", "-Q"], "owners pacman": ["pacman", "-Qo", *real]}


def nonempty_directories(root: str) -> "list[str]":
    return [name for name in names(root) if names(os.path.join(root, name))]


def data_root(login: "dict[str, Any]", daemon_json: "str | None") -> str:
    try:
        root = json.loads(daemon_json or "{}")["data-root"]
        return str(root)
    except (ValueError, KeyError, TypeError):
        return os.path.join(login["data_home"], "docker")


def file_sha256(path: str) -> str:
    try:
        with open(path, "rb") as handle:
            return hashlib.sha256(handle.read()).hexdigest()
    except OSError:
        return ""


def main() -> None:
    deadline = time.monotonic() + DEADLINE * float(sys.argv[2])
    login = json.loads(sys.argv[1])
    user_path = [d for d in login["path"].split(":") if d.startswith("/")]
    search = user_path + SBIN
    binaries = {name: binary(find(name, search + ELSEWHERE.get(name, []))) for name in BINARIES}
    paths = {name: b["path"] for name, b in binaries.items() if b}

    commands = {"systemctl": ["systemctl", "--version"]}
    programs = "dockerd iptables rootlesskit slirp4netns".split()
    versions = [name for name in programs if name in paths]
    for name in versions:
        commands[name] = [paths[name], "--version"]
    if "slirp4netns" in paths:
        commands["slirp4netns help"] = [paths["slirp4netns"], "--help"]
    for name in MODULES:
        commands["modprobe " + name] = ["modprobe", "--show-depends", name]
    commands.update(package_commands(list(paths.values())))
    running = {key: start(argv) for key, argv in commands.items()}

    kernel = os.uname()
    uid = login["uid"]
    user_slice = f"/sys/fs/cgroup/user.slice/user-{uid}.slice/"
    daemon_json = read(os.path.join(login["config_home"], "docker/daemon.json"))
    setuptool_on_path = find(SETUPTOOL, user_path)
    setuptool = setuptool_on_path or find(SETUPTOOL, [*SETUPTOOL_DIRS, login["home"] + "/bin"])
    beside = os.path.dirname(paths.get("dockerd-rootless.sh") or setuptool)
    gathered = {
        "kernel": kernel.release,
        "arch": kernel.machine,
        "os_release": read("/etc/os-release") or read("/usr/lib/os-release"),
        "subuid": read("/etc/subuid"),
        "subgid": read("/etc/subgid"),
        "modules": read("/proc/modules"),
        "modules_builtin": read(f"/lib/modules/{kernel.release}/modules.builtin"),
        "modules_sys": names("/sys/module"),
        "lsm": read("/sys/kernel/security/lsm"),
        "if_inet6": read("/proc/net/if_inet6"),
        "selinux": os.path.exists("/sys/fs/selinux/enforce"),
        "apparmor": read("/sys/module/apparmor/parameters/enabled"),
        "controllers": read(user_slice + f"user@{uid}.service/cgroup.controllers"),
        "slice_controllers": read(user_slice + "cgroup.controllers"),
        "cgroup_v2": os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        "cgroup_hybrid": os.path.exists("/sys/fs/cgroup/unified/cgroup.procs"),
        "systemd_running": os.path.isdir("/run/systemd/system"),
        "sysctls": {name: read("/proc/sys/" + name.replace(".", "/")) for name in SYSCTLS},
        "binaries": binaries,
        "spellings": {path: spellings(path) for path in paths.values()},
        "setuptool": setuptool,
        "setuptool_sha256": file_sha256(setuptool),
        "setuptool_on_path": bool(setuptool_on_path),
        "client_beside_script": bool(beside and find("docker", [beside])),
        "daemon_json": daemon_json,
        "data_root": nonempty_directories(data_root(login, daemon_json)),
        "sh": os.path.realpath("/bin/sh"),
        "lingering": os.path.exists("/var/lib/systemd/linger/" + login["user"]),
    }
    done = {key: finish(job, deadline) for key, job in running.items()}
    for name, (status, _) in list(done.items()):
        # alone: all at once may have been too many tasks for this user
        failed = status == NOT_STARTED or (status != 0 and name in versions)
        if failed and time.monotonic() < deadline:
            done[name] = finish(start(commands[name]), deadline)
    gathered["commands"] = done
    print(json.dumps(gathered))


if __name__ == "__main__":
    main()
