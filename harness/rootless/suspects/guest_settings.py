# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH113, PTH114, PTH115, PTH116, PTH118, PTH207, PTH208, SIM905
"""Runs in the guest: what is set for the user, the machine, the daemon, and who may change it."""

import contextlib
import fcntl
import glob
import hashlib
import os
import pwd
import re
import stat
import sys

from harness.guest.guest_health import full
from harness.rootless.suspects.guest_notes import note, owner, read, words
from harness.rootless.suspects.guest_programs import packages_of

# Files and directories, as glob has them.
CONFIGURATION = (
    "/etc/sysctl.d /usr/lib/sysctl.d /run/sysctl.d /etc/modprobe.d /usr/lib/modprobe.d "
    "/run/modprobe.d /etc/modules-load.d /usr/lib/modules-load.d /run/modules-load.d "
    "/etc/profile.d /etc/environment.d /etc/security /etc/sudoers /etc/sudoers.d "
    "/etc/tmpfiles.d /usr/lib/tmpfiles.d /run/tmpfiles.d /usr/local/lib/*.d "
    "/etc/pam.d /etc/docker /etc/containers /etc/ld.so.conf.d "
    "/etc/systemd/system /etc/systemd/user /etc/systemd/*.conf /etc/systemd/*.conf.d "
    "/etc/systemd/system.control /run/systemd/system.control /run/systemd/transient "
    "/run/systemd/*.conf.d /run/systemd/system /run/systemd/user "
    "/usr/lib/systemd/*.conf.d /usr/lib/systemd/system/user@.service "
    "/usr/lib/systemd/user/docker.service /usr/lib/systemd/system/*.d "
    "/usr/lib/systemd/system/*.wants /usr/lib/systemd/user/*.d /usr/lib/systemd/user/*.wants "
    "/usr/local/lib/systemd /etc/udev/rules.d /etc/nftables.conf /etc/sysctl.conf "
    "/etc/environment /etc/ld.so.preload /etc/subuid /etc/subgid /etc/login.defs /etc/modules "
    "/etc/apparmor.d /etc/hosts /etc/resolv.conf /etc/fstab "
    "/etc/ssh/sshd_config /etc/ssh/sshd_config.d "
    "/etc/apt/apt.conf /etc/apt/apt.conf.d /etc/apt/preferences /etc/apt/preferences.d "
    "/etc/apt/sources.list /etc/apt/sources.list.d /etc/dpkg/dpkg.cfg /etc/dpkg/dpkg.cfg.d "
    "/usr/lib/environment.d /etc/cron.d /etc/crontab /var/spool/cron /etc/rc.local "
    "/etc/default/docker /etc/containerd /etc/fuse.conf /etc/nsswitch.conf /etc/bash.bashrc "
    "/etc/profile /etc/passwd /etc/group /etc/skel /etc/nologin"
).split()
AT_HOME = (
    ".config/docker .config/systemd .config/environment.d .config/rootlesskit .docker/config.json "
    ".docker/contexts .docker/daemon.json .bash_login .zshenv .config/user-tmpfiles.d "
    ".profile .bashrc .bash_profile .pam_environment bin .local/bin"
).split()
PRIVATE = (
    "/etc/shadow /etc/gshadow /etc/passwd /etc/sudoers /root /run/docker.sock "
    "/run/containerd/containerd.sock /tmp /var/tmp /home /var/lib/systemd/linger"
).split()
# What hints, the setup tool and the manual's commands write, or write in.
WRITTEN = (
    "/etc /etc/subuid /etc/subgid /etc/passwd /etc/group /etc/sysctl.conf /etc/sysctl.d "
    "/etc/modules-load.d /etc/systemd/system /var/lib/systemd/linger"
).split()
GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS of linux/fs.h, where a long has 64 bits
FLAGS = {0x10: "immutable", 0x20: "append-only"}  # FS_IMMUTABLE_FL, FS_APPEND_FL
# Made by root once, and the user's own daemon cannot write there.
OF_THE_USER = ".config .config/docker .docker .local .local/share .local/share/docker".split()
OF_AN_ENGINE = re.compile("docker|containerd")  # in the runtime directory
# No two guests share these: a key of the engine, and what a login or a call makes by the way.
PASSING = re.compile(r"/key\.json$|/run/systemd/transient/(session-|run-).*\.(scope|service)$")
KINDS = {stat.S_IFDIR: "directory", stat.S_IFSOCK: "socket", stat.S_IFLNK: "link"}
# What no package brought is remarkable here.
UNOWNED = (
    "/etc/sysctl.d/", "/etc/modprobe.d/", "/usr/lib/sysctl.d/", "/etc/ld.so.conf.d/",
    "/usr/lib/systemd/", "/lib/systemd/", "/usr/lib/modprobe.d/", "/lib/modprobe.d/",
    "/usr/lib/modules-load.d/", "/etc/tmpfiles.d/", "/usr/lib/tmpfiles.d/",
    "/usr/lib/environment.d/", "/usr/local/lib/",
)  # fmt: skip
OVERRIDE = re.compile(r"(?!(/usr)?/lib/).*/systemd/.*(user|docker).*[.]d/")
# A line in one of these is remarkable wherever the file came from.
USUALLY_EMPTY = {"/etc/ld.so.preload", "/etc/environment", "/etc/sysctl.conf"}
VARIABLE = re.compile(r"^(DOCKER|DOCKERD|ROOTLESSKIT|CONTAINERD|XDG_|LD_|PATH$|.*_proxy$)", re.I)
FILES = 2000  # at most


def look(environ: "dict[str, str]", home: str, limits: "list[str]") -> None:
    for name in sorted(environ):
        if VARIABLE.match(name) and not name.startswith("XDG_SESSION"):
            odd = name.startswith(("DOCKER", "LD_"))
            note("login " + name, f"the user's login has {name}={environ[name]}", odd)
    for line in limits:
        note("limit " + line.partition(")")[0], f"the user's login has {' '.join(line.split())}")
    of_the_machine = list(CONFIGURATION)
    if not os.path.islink("/lib"):  # it has what elsewhere is in /usr/lib
        of_the_machine += [place[4:] for place in CONFIGURATION if place.startswith("/usr/lib/")]
    found = [path for pattern in of_the_machine for path in glob.glob(pattern)]
    files([*found, *(os.path.join(home, name) for name in AT_HOME)])
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    at_home = [os.path.join(home, name) for name in ("", *OF_THE_USER)]
    permissions([*PRIVATE, *at_home, *([runtime] if runtime else [])])
    attributes([*WRITTEN, *at_home])
    leftovers(runtime, OF_AN_ENGINE)
    leftovers(os.path.join(home, ".local/share/docker"))
    room(["/", "/tmp", home, "/run", *([runtime] if runtime else [])])


def account(user: str) -> None:
    """Note what the user is, and whether the password or the account has run out."""
    with contextlib.suppress(KeyError):
        told = ":".join(map(str, pwd.getpwnam(user)[2:]))
        note("account", f"the account {user} is {told}")
    for line in read("/etc/shadow").decode("utf-8", "replace").splitlines():
        name, _, *times = line.split(":")
        if name == user:
            note("expiry", f"the account {user} ages by {':'.join(times)}")


def files(places: "list[str]") -> None:
    """Note the files of configuration, and which of them no package brought."""
    every = []
    for place in places:
        if os.path.isfile(place):
            every.append(place)
        for directory, below, names in os.walk(place):
            below[:] = [] if place == "/etc/apparmor.d" else sorted(below)
            every += [os.path.join(directory, name) for name in sorted(names)]
    every = [path for path in every if not PASSING.search(path)]
    every = [path for path in every if os.path.islink(path) or os.path.isfile(path)][:FILES]
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
        odd = odd or (path in USUALLY_EMPTY and bool(said)) or OVERRIDE.match(path) is not None
        odd = odd or path.endswith(("daemon.json", "/nologin"))
        key = hashlib.sha256(content).hexdigest() + oct(status.st_mode) + str(status.st_uid)
        note("file " + path, text, odd, key)


def permissions(paths: "list[str]") -> None:
    """Note who may use what is not everybody's, and what is."""
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            mode = f"{stat.S_IMODE(status.st_mode):o}"
            kind = KINDS.get(stat.S_IFMT(status.st_mode), "file")
            told = f"the {kind} {path} of {owner(status.st_uid)} has mode {mode}"
            note("mode " + path, told)


def attributes(paths: "list[str]") -> None:
    """Note what not even its owner may change."""
    for path in paths:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
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
