# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH110, PTH112, PTH113, PTH116, PTH118, PTH119, PTH208, SIM905
"""Runs in the guest: programs, where they are, with what power, and from which package."""

import hashlib
import os
import re
import stat

from harness.guest.guest_files import binary, spellings
from harness.rootless.suspects.guest_modes import acl
from harness.rootless.suspects.guest_notes import SBIN, note, owner, read, run
from harness.rootless.suspects.guest_ways import libraries, readable, ways

PROGRAMS = (
    "newuidmap newgidmap slirp4netns rootlesskit rootlesskit-docker-proxy docker-proxy rootlessctl "
    "fuse-overlayfs fusermount3 dockerd docker containerd containerd-shim-runc-v2 runc iptables "
    "ip6tables nft pasta nsenter unshare ip ping su sudo mount modprobe sysctl setcap systemctl "
    "dockerd-rootless.sh dockerd-rootless-setuptool.sh docker-init lxc-user-nic "
    "docker-rootlesskit selinuxenabled"
).split()
# What a distro's package gives privilege, by the set-user-id bit or a file capability.
HELPERS = {"newuidmap", "newgidmap"}
PRIVILEGED = HELPERS | {"ping", "su", "sudo", "mount", "fusermount3", "lxc-user-nic"}
# What distros' packages give the set-user-id bit besides.
USUAL = PRIVILEGED | set(
    "at batch bwrap chage chfn chsh chromium-sandbox crontab dotlockfile exim4 expiry fping "
    "fusermount gpasswd grub2-set-bootflag ksu mount.cifs mount.fuse3 mount.nfs mtr-packet "
    "newgrp ntfs-3g pam_timestamp_check passwd pkexec pppd run0 screen sg sudo-rs sudoedit "
    "staprun traceroute6 umount unix_chkpwd unix2_chkpwd userhelper usernetctl vmware-user".split()
)
# Debian's packages that bring none of these programs, and what the user's login, the bus and the
# helpers need.
NEEDED = re.compile(
    "(dbus|dbus-daemon|dbus-user-session|dbus-session-bus-common|dbus-system-bus-common|"
    "libpam-systemd|libslirp0|libseccomp2|libfuse3-[0-9]+|apparmor|openssh-server)(:.+)?[.]md5sums"
)
INFO = "/var/lib/dpkg/info/"
HELD = re.compile(rb"^Package: (\S+)\nStatus: hold ", re.MULTILINE)
SMALL = 1 << 18  # bytes; a larger file is compared with its package's where it is a program
READ_BY_PEOPLE = re.compile("/(doc|man|locale|info|lintian)/")
CHANGED = re.compile(r"(?:(?:missing|[^ ]{8,9}) +(?:c )?|warning: \S+: )(/\S+)")


def look(path: "list[str]") -> None:
    """Note the programs that a user with this PATH, and root, would find."""
    paths = programs(path + [directory for directory in SBIN if directory not in path])
    used = libraries(paths)
    ways([*(os.path.join(directory, "") for directory in path), *paths, *used])
    readable(used)
    owners = packages_of([*paths, *used])
    for each in [*paths, *used]:
        if each in owners:
            note("owner " + each, f"{each} is of {owners[each]}")
        else:
            note("owner " + each, f"{each} belongs to no package", True)
    if owners:
        changed(paths, used, owners)
    by_hand()


def others() -> None:
    """Note every other program: by hiding one of a package or by its privilege it may do harm."""
    for directory in sorted({os.path.realpath(each) for each in SBIN if os.path.isdir(each)}):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            seen = None if name in PROGRAMS else binary(path)
            if seen is None:
                continue
            status = os.stat(path)
            told = f"{path} of {owner(seen['owner'])} has mode {seen['mode']:o}"
            if seen["xattr"]:
                told += " and file capabilities " + seen["xattr"]
            changing = (status.st_size, int(status.st_mtime))
            to_root = seen["mode"] & stat.S_ISUID and seen["owner"] == 0
            odd = bool(to_root) and os.path.basename(os.path.realpath(path)) not in USUAL
            note("program " + path, told, odd, f"{told} {changing}")
            acl(path)


def by_hand() -> None:
    """Note what dpkg was told to do otherwise than the packages say, and to leave as it is."""
    for package in HELD.findall(read("/var/lib/dpkg/status")):
        note("held " + package.decode(), f"dpkg holds the package {package.decode()}", True)
    for line in read("/var/lib/dpkg/statoverride").decode("utf-8", "replace").splitlines():
        told = line.split(" ", 3)
        if len(told) != 4:
            note("override " + line, "dpkg cannot read its statoverride: " + line, True)
            continue
        who, group, mode, path = told
        note("override " + path, f"dpkg-statoverride gives {path} to {who}:{group}, mode {mode}")
    lines = read("/var/lib/dpkg/diversions").decode("utf-8", "replace").splitlines()
    for source, target, package in zip(lines[::3], lines[1::3], lines[2::3]):  # noqa: B905
        if package == ":":
            note("diversion " + source, f"dpkg-divert puts {source} to {target}", True)


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
    seen = binary(path)
    if seen is None:
        return
    has = []
    if seen["mode"] & stat.S_ISUID:
        has.append("set-user-id " + owner(seen["owner"]))
    if seen["mode"] & stat.S_ISGID:
        has.append("set-group-id")
    if seen["xattr"]:
        has.append("file capabilities " + seen["xattr"])
    odd = bool(has) != (name in PRIVILEGED) and (bool(has) or name in HELPERS)
    note("power " + path, f"{path} has {' and '.join(has) or 'no privilege of its own'}", odd)
    acl(path)
    if seen["owner"]:
        note("of " + path, f"{path} is {owner(seen['owner'])}'s, who may change it", True)
    if seen["mode"] & 0o133 != 0o111:  # not for everybody to run, or for others to change
        note("mode " + path, f"{path} has mode {seen['mode']:o}", True)


def packages_of(paths: "list[str]") -> "dict[str, str]":
    """Which package brought a file, for those that one did."""
    if os.path.exists("/usr/bin/dpkg-query"):
        brought = {}
        asked = [spelling for path in paths for spelling in spellings(path)]
        for line in run("dpkg-query", "-S", *asked).splitlines():
            names, separator, spelling = line.partition(": ")
            if separator and not names.startswith("diversion"):
                brought[spelling] = names.split(",")[0]
        return {path: brought[spelling] for path in paths for spelling in spellings(path)
                if spelling in brought}  # fmt: skip
    real = [os.path.realpath(path) for path in paths]
    if os.path.exists("/usr/bin/rpm"):
        asked = ["rpm", "-qf", "--qf", "%{NAME}\\n"]
        lines = run(*asked, *real).splitlines()
        if len(lines) != len(real):  # a file of several packages has several lines
            lines = [run(*asked, path).partition("\n")[0] for path in real]
        return {path: line for path, line in zip(paths, lines) if " " not in line}  # noqa: B905
    owned = re.findall("^(.+) is owned by (.+) .+$", run("pacman", "-Qo", *real), re.MULTILINE)
    by_path = dict(owned)
    return {path: by_path[os.path.realpath(path)] for path in paths
            if os.path.realpath(path) in by_path}  # fmt: skip


def changed(programs: "list[str]", libraries: "list[str]", owners: "dict[str, str]") -> None:
    """Note the files that are not as their packages brought them.

    Of what only brings libraries, these alone; and on Debian: rpm and pacman read whole packages.
    """
    packages = sorted({owners[path] for path in programs if path in owners})
    if os.path.exists("/usr/bin/dpkg-query"):
        linked = {os.path.realpath(path) for path in libraries}
        real = linked | {os.path.realpath(path) for path in programs}
        needed = [name[: -len(".md5sums")] for name in os.listdir(INFO) if NEEDED.fullmatch(name)]
        differing = [path for name in sorted({*packages, *needed}) for path in altered(name, real)]
        bringing = {owners[path] for path in libraries if path in owners} - {*packages, *needed}
        for name in sorted(bringing):
            differing += [p for p in altered(name, linked) if os.path.realpath(p) in linked]
    else:
        rpm = os.path.exists("/usr/bin/rpm")
        asked = ["rpm", "-V", "--nodeps", "--nomtime"] if rpm else ["pacman", "-Qkk"]
        matches = [CHANGED.match(line) for line in run(*asked, *packages).splitlines()
                   if "Modification time" not in line]  # fmt: skip
        differing = [match.group(1) for match in matches if match]
    for path in differing:
        if not READ_BY_PEOPLE.search(path):
            how = "is not as its package brought it" if os.path.lexists(path) else "is gone"
            note("changed " + path, f"{path} {how}", True)


def altered(package: str, programs: "set[str]") -> "list[str]":
    """Of a Debian package; ``dpkg --verify`` reads a hundred megabytes that nobody runs here."""
    base = INFO + package
    sums = read(base + ".md5sums") or read(base.partition(":")[0] + ".md5sums")
    differing = []
    for line in sums.decode().splitlines():
        digest, _, name = line.partition("  ")
        path = "/" + name
        if READ_BY_PEOPLE.search(path):
            continue
        if not os.path.isfile(path):
            differing.append(path)
            continue
        looked_at = os.stat(path).st_size < SMALL or os.path.realpath(path) in programs
        if looked_at and hashlib.new("md5", read(path)).hexdigest() != digest:
            differing.append(path)
    return differing
