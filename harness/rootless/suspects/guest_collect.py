# Python 3.6, few imports (each costs time under emulation), and printing is what it is for:
# ruff: noqa: PTH110, PTH113, PTH114, PTH115, PTH116, PTH118, PTH119, PTH123, PTH208, SIM905, T201
"""Runs in the guest as root, fed to ``python3 -I -``: what somebody who looks for a fault looks at.

Standard library of Python 3.6 only, no import of the harness.  The one argument is a JSON object
with ``home`` and ``environ`` of the user.  Prints a JSON list of ``[key, text, odd]``: two guests
differ in a key where its texts do; ``odd`` is what is remarkable by itself, on any guest.
"""

import contextlib
import hashlib
import json
import os
import pwd
import re
import stat
import subprocess
import sys

PROGRAMS = (
    "newuidmap newgidmap slirp4netns rootlesskit rootlesskit-docker-proxy docker-proxy rootlessctl "
    "fuse-overlayfs fusermount3 dockerd docker containerd containerd-shim-runc-v2 runc iptables "
    "ip6tables nft pasta nsenter unshare ip ping su sudo mount modprobe sysctl setcap systemctl "
    "dockerd-rootless.sh dockerd-rootless-setuptool.sh docker-init lxc-user-nic"
).split()
# What a distro's package gives privilege, by the set-user-id bit or a file capability.
HELPERS = {"newuidmap", "newgidmap"}
PRIVILEGED = HELPERS | {"ping", "su", "sudo", "mount", "fusermount3", "lxc-user-nic"}
# Whose small files are compared with their packages', besides the programs themselves.
OURS = {"dockerd", "containerd", "rootlesskit", "slirp4netns", "newuidmap", "dockerd-rootless.sh"}
SMALL = 1 << 18  # bytes
SBIN = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"]
CONFIGURATION = (
    "/etc/sysctl.d /usr/lib/sysctl.d /run/sysctl.d /etc/modprobe.d /usr/lib/modprobe.d "
    "/etc/modules-load.d /etc/profile.d /etc/environment.d /etc/security /etc/sudoers.d "
    "/etc/tmpfiles.d /etc/pam.d /etc/docker /etc/containers /etc/ld.so.conf.d "
    "/etc/systemd/system /etc/systemd/user /etc/systemd/system.conf.d /etc/systemd/user.conf.d "
    "/usr/local/lib/systemd /etc/udev/rules.d /etc/nftables.conf /etc/sysctl.conf "
    "/etc/environment /etc/ld.so.preload /etc/subuid /etc/subgid /etc/login.defs /etc/modules "
    "/etc/apparmor.d /etc/hosts /etc/resolv.conf /etc/systemd/system.conf /etc/systemd/user.conf"
).split()
AT_HOME = (
    ".config/docker .config/systemd .config/environment.d .config/rootlesskit .docker/config.json "
    ".profile .bashrc .bash_profile .pam_environment bin .local/bin"
).split()
PRIVATE = "/etc/shadow /etc/gshadow /etc/passwd /etc/sudoers /root /run/docker.sock".split()
# What no package brought is remarkable here.
UNOWNED = ("/etc/sysctl.d/", "/etc/modprobe.d/", "/usr/lib/sysctl.d/", "/etc/ld.so.conf.d/")
# A line in one of these is remarkable wherever the file came from.
USUALLY_EMPTY = {"/etc/ld.so.preload", "/etc/environment", "/etc/sysctl.conf"}
DAEMONS = {"dockerd", "rootlesskit", "containerd", "slirp4netns", "pasta", "lxc-user-nic"}
VARIABLE = re.compile(r"^(DOCKER|DOCKERD|ROOTLESSKIT|CONTAINERD|XDG_|LD_|PATH$|.*_proxy$)", re.I)
LINES, WIDTH, FILES = 3, 100, 400

CHANGED = re.compile(r"(?:(?:missing|[^ ]{8,9}) +(?:c )?|warning: \S+: )(/\S+)")

found: "list[list[object]]" = []


def note(key: str, text: str, odd: bool = False) -> None:
    found.append([key, text, odd])


def run(*argv: str) -> str:
    env = dict(os.environ, LC_ALL="C", PATH=":".join(SBIN))
    try:
        out = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=env, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return out.stdout.decode("utf-8", "replace")


def read(path: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except OSError:
        return b""


def words(content: bytes) -> str:
    """The first lines that say something."""
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    said = [line[:WIDTH] for line in lines if line and line[0] not in "#;"]
    more = " ..." if len(said) > LINES else ""
    return " | ".join(said[:LINES]) + more


def programs(directories: "list[str]") -> "list[str]":
    """Note where programs are and with what power; return their paths."""
    paths, seen = [], set()
    for name in PROGRAMS:
        here, files = [], set()
        for directory in directories:
            path = os.path.join(directory, name)
            real = os.path.realpath(path)
            if os.path.isfile(path) and real not in files:
                files.add(real)
                here.append(path)
        if not here:
            note("program " + name, name + " is not there")
            continue
        if len(here) > 1:
            note("program " + name, f"{here[0]} goes before {here[1]}", True)
        else:
            note("program " + name, f"{name} is {os.path.realpath(here[0])}")
        for path in here:
            if path not in seen:
                seen.add(path)
                paths.append(path)
                power(name, path)
    return paths


def power(name: str, path: str) -> None:
    status = os.stat(path)
    has = []
    if status.st_mode & stat.S_ISUID:
        has.append("set-user-id " + owner(status.st_uid))
    if status.st_mode & stat.S_ISGID:
        has.append("set-group-id")
    with contextlib.suppress(OSError):
        has.append("file capabilities " + os.getxattr(path, "security.capability").hex())
    odd = bool(has) != (name in PRIVILEGED) and (bool(has) or name in HELPERS)
    note("power " + path, f"{path} has {' and '.join(has) or 'no privilege of its own'}", odd)
    if status.st_mode & 0o111 != 0o111:
        note("mode " + path, f"{path} has mode {stat.S_IMODE(status.st_mode):o}", True)


def owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def spellings(path: str) -> "list[str]":
    """The names a package may list this file under: links resolved, both of a merged /usr."""
    every = []
    for one in (os.path.realpath(path), path):
        short = re.sub(r"^/usr(?=/(s?bin|lib)/)", "", one)
        every += [one, short]
        if re.match(r"/(s?bin|lib)/", short):
            every.append("/usr" + short)
    return every


def packages_of(paths: "list[str]") -> "dict[str, str]":
    """Which package brought a file, for those that one did."""
    owners = {}
    if os.path.exists("/usr/bin/dpkg-query"):
        asked = [spelling for path in paths for spelling in spellings(path)]
        brought = {}
        for line in run("dpkg-query", "-S", *asked).splitlines():
            names, separator, spelling = line.partition(": ")
            if separator and not names.startswith("diversion"):
                brought[spelling] = names.split(",")[0]
        for path in paths:
            for spelling in spellings(path):
                if spelling in brought:
                    owners[path] = brought[spelling]
        return owners
    query = ["rpm", "-qf", "--qf", "%{NAME}\\n"] if os.path.exists("/usr/bin/rpm") else []
    query = query or (["pacman", "-Qqo"] if os.path.exists("/usr/bin/pacman") else [])
    for path in paths if query else []:
        said = run(*query, os.path.realpath(path)).strip()
        if said and " " not in said:
            owners[path] = said
    return owners


def changed(programs: "list[str]", packages: "list[str]") -> None:
    """Note the files that are not as their packages brought them."""
    if os.path.exists("/usr/bin/dpkg-query"):
        real = {os.path.realpath(path) for path in programs}
        differing = [path for name in packages for path in altered(name, real)]
    else:
        rpm = os.path.exists("/usr/bin/rpm")
        asked = ["rpm", "-V", "--nodeps", "--nomtime"] if rpm else ["pacman", "-Qkk"]
        matches = [CHANGED.match(line) for line in run(*asked, *packages).splitlines()
                   if "Modification time" not in line]  # fmt: skip
        differing = [match.group(1) for match in matches if match]
    for path in differing:
        if not re.search("/(doc|man|locale|info|lintian)/", path):
            how = "is not as its package brought it" if os.path.lexists(path) else "is gone"
            note("changed " + path, f"{path} {how}", True)


def altered(package: str, programs: "set[str]") -> "list[str]":
    """Of a Debian package; ``dpkg --verify`` reads a hundred megabytes that nobody runs here."""
    base = "/var/lib/dpkg/info/" + package
    ours = {os.path.basename(p) for p in programs} & OURS
    sums = read(base + ".md5sums") or read(base.partition(":")[0] + ".md5sums")
    differing = []
    for line in sums.decode().splitlines():
        digest, _, name = line.partition("  ")
        path = "/" + name
        if not os.path.isfile(path):
            differing.append(path)
            continue
        looked_at = os.path.realpath(path) in programs or (ours and os.stat(path).st_size < SMALL)
        if looked_at and hashlib.new("md5", read(path)).hexdigest() != digest:
            differing.append(path)
    return differing


def files(places: "list[str]") -> None:
    """Note the files of configuration, and which of them no package brought."""
    every = []
    for place in places:
        if os.path.isfile(place):
            every.append(place)
        for directory, below, names in os.walk(place):
            below[:] = [] if place == "/etc/apparmor.d" else sorted(below)
            every += [os.path.join(directory, name) for name in sorted(names)]
    every = [path for path in every if os.path.basename(path) != "key.json"][:FILES]
    owners = packages_of([path for path in every if path.startswith(UNOWNED)])
    for path in every:
        if os.path.islink(path):
            note("file " + path, f"{path} leads to {os.readlink(path)}")
            continue
        content = read(path)
        status = os.stat(path)
        said = words(content)
        text = f"{path}: {said}" if said else f"{path} says nothing"
        odd = path not in owners and path.startswith(UNOWNED)
        odd = odd or (path in USUALLY_EMPTY and bool(said)) or path.endswith("daemon.json")
        odd = odd or ("/systemd/" in path and re.search("(user|docker).*[.]d/", path) is not None)
        key = hashlib.sha256(content).hexdigest() + oct(status.st_mode) + str(status.st_uid)
        found.append(["file " + path, text, odd, key])


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


def permissions() -> None:
    """Note who may use what is not everybody's."""
    for path in PRIVATE:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            mode = f"{stat.S_IMODE(status.st_mode):o}"
            note("mode " + path, f"{path} of {owner(status.st_uid)} has mode {mode}")


def listeners() -> None:
    """Note which TCP ports are taken."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).decode().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if state == "0A":
                port = int(local.rpartition(":")[2], 16)
                note(f"port {port}", f"something listens on TCP port {port}")


def machine() -> None:
    for word in read("/proc/cmdline").decode().split():
        note("argument " + word, "the kernel was started with " + word)
    for command in ("iptables-save", "ip6tables-save"):
        for line in run(command).splitlines():
            if line.startswith(("-A", ":")) and re.search(r"-j (DROP|REJECT)|DROP \[", line):
                rule = re.sub(r" ?\[[0-9:]*\]", "", line)
                own = "DOCKER" in rule or rule.startswith(":FORWARD")
                note(f"firewall {command} {rule}", f"{command} says {rule}", not own)
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


def main() -> None:
    asked = json.loads(sys.argv[1])
    environ, home = asked["environ"], asked["home"]
    for name in sorted(environ):
        if VARIABLE.match(name) and not name.startswith("XDG_SESSION"):
            odd = name.startswith(("DOCKERD_", "LD_")) or name == "DOCKER_DRIVER"
            note("login " + name, f"the user's login has {name}={environ[name]}", odd)
    path = [d for d in environ.get("PATH", "").split(":") if d.startswith("/")]
    paths = programs(path + [d for d in SBIN if d not in path])
    owners = packages_of(paths)
    for each in paths:
        if each in owners:
            note("owner " + each, f"{each} is of {owners[each]}")
        else:
            note("owner " + each, f"{each} belongs to no package", True)
    if owners:
        changed(paths, sorted(set(owners.values())))
    files([*CONFIGURATION, *(os.path.join(home, name) for name in AT_HOME)])
    processes()
    permissions()
    listeners()
    machine()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
