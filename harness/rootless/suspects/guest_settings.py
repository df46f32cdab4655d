# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH113, PTH114, PTH115, PTH116, PTH118, PTH207, SIM905
"""Runs in the guest: what is set for the user, the machine, the daemon, and who may change it."""

import contextlib
import glob
import hashlib
import os
import pwd
import re

from harness.rootless.suspects.guest_modes import attributes, leftovers, of_root, permissions, room
from harness.rootless.suspects.guest_notes import note, read, run_as, words
from harness.rootless.suspects.guest_programs import packages_of
from harness.rootless.suspects.guest_ways import ways

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
    "/usr/local/lib/systemd /etc/systemd/*-generators /run/systemd/*-generators "
    "/etc/udev/rules.d /usr/lib/udev/rules.d /usr/local/lib/udev /run/udev/rules.d "
    "/etc/init.d /etc/rc?.d /etc/dbus-1 /usr/share/dbus-1 /etc/nftables.conf /etc/sysctl.conf "
    "/etc/environment /etc/ld.so.preload /etc/subuid /etc/subgid /etc/login.defs /etc/modules "
    "/etc/apparmor.d /etc/hosts /etc/resolv.conf /etc/fstab "
    "/etc/ssh/sshd_config /etc/ssh/sshd_config.d /etc/ssh/sshrc "
    "/etc/doas.conf /etc/doas.d "
    "/etc/polkit-1 /usr/share/polkit-1/rules.d /usr/local/share/polkit-1 "
    "/etc/apt/apt.conf /etc/apt/apt.conf.d /etc/apt/preferences /etc/apt/preferences.d "
    "/etc/apt/sources.list /etc/apt/sources.list.d /etc/dpkg/dpkg.cfg /etc/dpkg/dpkg.cfg.d "
    "/usr/lib/environment.d /etc/cron.d /etc/crontab /var/spool/cron /etc/rc.local "
    "/etc/default/docker /etc/containerd /etc/fuse.conf /etc/nsswitch.conf /etc/bash.bashrc "
    "/etc/profile /etc/passwd /etc/group /etc/skel /etc/nologin"
).split()
AT_HOME = (
    ".config/docker .config/systemd .config/environment.d .config/rootlesskit .docker/config.json "
    ".docker/contexts .docker/daemon.json .bash_login .zshenv .config/user-tmpfiles.d "
    ".profile .bashrc .bash_aliases .bash_profile .pam_environment bin .local/bin "
    ".ssh/rc .ssh/environment"
).split()
# In the user's runtime directory, below systemd's: what commands set until the next boot.
OF_THE_MANAGER = (
    "user user.control user.conf.d transient generator generator.early generator.late"
).split()
PRIVATE = (
    "/etc/shadow /etc/gshadow /etc/passwd /etc/sudoers /root /run/docker.sock "
    "/run/containerd/containerd.sock /tmp /var/tmp /var/lib/systemd/linger /etc/cron.d "
    "/etc/cron.daily /etc/ld.so.conf.d /etc/modprobe.d /etc/pam.d /etc/profile.d /etc/security "
    "/etc/ssh /etc/sudoers.d /etc/systemd/system /etc/udev/rules.d /boot /var/spool/cron"
).split()
# Nobody gets there but by directories of root's, and these lead to no program.
REACHED = (
    "/etc/passwd /dev/net/tun /dev/shm/any /var/lib/systemd/linger /run/dbus/system_bus_socket "
    "/run/systemd/journal/stdout /sys/fs/cgroup/cgroup.procs /usr/share/dbus-1/session.conf "
    "/usr/lib/systemd/user/docker.service"
).split()
# What hints, the setup tool and the manual's commands write, or write in.
WRITTEN = (
    "/etc /etc/subuid /etc/subgid /etc/passwd /etc/group /etc/sysctl.conf /etc/sysctl.d "
    "/etc/modules-load.d /etc/systemd/system /var/lib/systemd/linger"
).split()
# Made by root once, and the user's own daemon cannot write there.
OF_THE_USER = ".config .config/docker .docker .local .local/share .local/share/docker".split()
OF_AN_ENGINE = re.compile("docker|containerd|^bus$")  # in the runtime directory: and its bus
# No two guests share these: a key of the engine, and what a login or a call makes by the way.
PASSING = re.compile(
    r"/key\.json$|/systemd/transient/(session-|run-|docker-).*\.(scope|service|slice)$"
)
# What no package brought is remarkable here.
UNOWNED = (
    "/etc/sysctl.d/", "/etc/modprobe.d/", "/usr/lib/sysctl.d/", "/etc/ld.so.conf.d/",
    "/usr/lib/systemd/", "/lib/systemd/", "/usr/lib/modprobe.d/", "/lib/modprobe.d/",
    "/usr/lib/modules-load.d/", "/etc/tmpfiles.d/", "/usr/lib/tmpfiles.d/",
    "/usr/lib/environment.d/", "/usr/local/lib/", "/usr/lib/udev/", "/lib/udev/",
)  # fmt: skip
OVERRIDE = re.compile(r"(?!(/usr)?/lib/).*/systemd/.*(user|docker).*[.]d/")
# A line in one of these is remarkable wherever the file came from.
USUALLY_EMPTY = {"/etc/ld.so.preload", "/etc/environment", "/etc/sysctl.conf"}
VARIABLE = re.compile(r"^(DOCKER|DOCKERD|ROOTLESSKIT|CONTAINERD|XDG_|LD_|PATH$|.*_proxy$)", re.I)
# And whatever these say.
ALWAYS_TOLD = ("daemon.json", "/nologin", "/sshrc", "/.ssh/rc", "/.ssh/environment")
FILES = 2000  # at most


def look(user: str, environ: "dict[str, str]", home: str, limits: "list[str]") -> None:
    variables("login ", "the user's login", environ)
    for line in limits:
        note("limit " + line.partition(")")[0], f"the user's login has {' '.join(line.split())}")
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    with contextlib.suppress(KeyError):
        of_user = pwd.getpwnam(user)
        runtime = runtime or f"/run/user/{of_user.pw_uid}"
        manager(of_user, runtime)
    of_the_machine = list(CONFIGURATION)
    if not os.path.islink("/lib"):  # it has what elsewhere is in /usr/lib
        of_the_machine += [place[4:] for place in CONFIGURATION if place.startswith("/usr/lib/")]
    found = [path for pattern in of_the_machine for path in glob.glob(pattern)]
    found += [os.path.join(home, name) for name in AT_HOME]
    found += [os.path.join(runtime, "systemd", name) for name in OF_THE_MANAGER]
    noted = files(found)
    at_home = [os.path.join(home, name) for name in ("", *OF_THE_USER)]
    permissions([*PRIVATE, *at_home, runtime])
    attributes(sorted({*WRITTEN, *at_home, *noted}))
    ways([*REACHED, home, runtime])
    leftovers(runtime, OF_AN_ENGINE)
    data = os.path.join(home, ".local/share/docker")
    leftovers(data)
    of_root(data)
    room(["/", "/tmp", home, "/run", runtime])


def variables(key: str, whose: str, environ: "dict[str, str]") -> None:
    """Note what an engine or a program's start goes by."""
    for name in sorted(environ):
        if VARIABLE.match(name) and not name.startswith("XDG_SESSION"):
            odd = name.startswith(("DOCKER", "LD_"))
            note(key + name, f"{whose} has {name}={environ[name]}", odd)


def manager(of_user: "pwd.struct_passwd", runtime: str) -> None:
    """Note what the user's systemd gives to what it starts, which need not be in any file, and
    whether it has a bus."""
    said = run_as(of_user, runtime, "systemctl", "--user", "show-environment")
    environ = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    unit = f"unit user@{of_user.pw_uid}.service\t"
    variables(unit, "the user's systemd", environ)
    listens = run_as(of_user, runtime, "systemctl", "--user", "is-active", "dbus.socket").split()
    if len(listens) == 1:  # more words tell that nobody can be asked
        note(unit + "dbus.socket", f"dbus.socket of the user's systemd is {listens[0]}")


def account(user: str) -> None:
    """Note what the user is, and whether the password or the account has run out."""
    with contextlib.suppress(KeyError):
        told = ":".join(map(str, pwd.getpwnam(user)[2:]))
        note("account", f"the account {user} is {told}")
    for line in read("/etc/shadow").decode("utf-8", "replace").splitlines():
        name, _, *times = line.split(":")
        if name == user:
            note("expiry", f"the account {user} ages by {':'.join(times)}")


def files(places: "list[str]") -> "list[str]":
    """Note the files of configuration, and which of them no package brought; return all paths."""
    every, directories = [], []
    for place in places:
        if os.path.isfile(place):
            every.append(place)
        for directory, below, names in os.walk(place):
            below[:] = [] if place == "/etc/apparmor.d" else sorted(below)
            directories.append(directory)
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
        odd = odd or path.endswith(ALWAYS_TOLD)
        key = hashlib.sha256(content).hexdigest() + oct(status.st_mode) + str(status.st_uid)
        note("file " + path, text, odd, key)
    return [*directories, *every]
