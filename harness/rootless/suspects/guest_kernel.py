# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH110, PTH113, PTH118, PTH119, PTH208, SIM905
"""Runs in the guest: what the kernel is set to, and has devices and modules for."""

import os
import re
import stat

from harness.rootless.suspects.guest_modes import acl
from harness.rootless.suspects.guest_notes import note, owner, read

SWITCHES = "kernel user vm fs net/ipv4 net/ipv6 net/core net/netfilter net/bridge net/unix".split()
# Counters, a secret, what memory is left at boot, and what cannot be read.
CHANGING = re.compile(
    r"random/|ns_last_pid|/nr$|-nr$|_nr$|-state$|inode|(conntrack|detect)_count$|_key$|uuid|"
    r"sched_domain|hostname|tcp_mem|udp_mem|quota/|/stat_|drop_caches|compact_memory|cap_last_cap|"
    r"net/ipv[46]/(neigh|route)/|perf_|tainted|pty/|binfmt_misc"
)
# By the memory that the kernel found left: these are the same where they have as many digits.
ROUGHLY = re.compile("/(file-max|threads-max)$")
# Come and go by themselves.
DEVICES_APART = re.compile("tty.+|pts?|vcs.*|loop[0-9].*|ram[0-9]+|core|fd|std.+")
OF_CONTAINERS = "/dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty".split()
# What networks of containers and their rules are made of.
MODULES = (
    "bridge veth overlay tun fuse br_netfilter nf_nat nf_conntrack nf_conntrack_netlink nft_compat "
    "nf_tables nft_chain_nat ip_tables ip6_tables iptable_nat iptable_filter xt_conntrack "
    "xt_MASQUERADE xt_addrtype xt_nat xt_tcpudp xt_mark xt_comment"
).split()
ALWAYS = {"bridge", "veth"}  # without these there is no network of a container anywhere
KINDS = {stat.S_IFCHR: "device", stat.S_IFBLK: "disk"}


def look() -> None:
    switches()
    devices()
    modules()


def switches() -> None:
    """Note what /proc/sys has, whoever set it."""
    for top in SWITCHES:
        for directory, below, names in os.walk("/proc/sys/" + top):
            below[:] = sorted(name for name in below if name != "binfmt_misc")  # mounted when asked
            for name in sorted(names):
                path = os.path.join(directory, name)
                if CHANGING.search(path):
                    continue
                value = " ".join(read(path).decode("utf-8", "replace").split())
                if value:
                    knob = path[len("/proc/sys/"):].replace("/", ".")
                    compared = f"{len(value)} digits" if ROUGHLY.search(path) else value
                    note("switch " + knob, f"{knob} is {value[:80]}", value=compared)


def devices() -> None:
    """Note the nodes, which a container's may be mounts of; a disk is for nobody else."""
    nodes = {f"/dev/{name}" for name in os.listdir("/dev") if not DEVICES_APART.fullmatch(name)}
    for path in sorted({*nodes, *OF_CONTAINERS, "/dev/net/tun"}):
        needed = path in OF_CONTAINERS
        try:
            seen = os.lstat(path)
        except OSError:
            if needed:
                note("device " + path, f"{path} is not there", True)
            continue
        if stat.S_ISLNK(seen.st_mode) or stat.S_ISDIR(seen.st_mode):
            continue
        mode = stat.S_IMODE(seen.st_mode)
        odd = needed and (mode & 0o666 != 0o666 or not stat.S_ISCHR(seen.st_mode))
        odd = odd or (stat.S_ISBLK(seen.st_mode) and bool(mode & 0o006))
        kind = KINDS.get(stat.S_IFMT(seen.st_mode), "file")
        whose = f"{owner(seen.st_uid)} and group {seen.st_gid}"
        note("device " + path, f"the {kind} {path} of {whose} has mode {mode:o}", odd)
        acl(path)


def modules() -> None:
    """Note which modules could be loaded.  Not modprobe's word: it does not look for the files."""
    top = "/lib/modules/" + os.uname().release
    built_in = read(top + "/modules.builtin").decode("utf-8", "replace")
    files = by_name(read(top + "/modules.dep").decode("utf-8", "replace"))
    needed = by_name(built_in)
    for name in MODULES:
        if name in needed:
            note("module " + name, f"the kernel has {name} built in")
        elif name not in files:
            odd = name in ALWAYS and not os.path.exists("/sys/module/" + name)
            note("module " + name, f"the kernel has no module {name}", odd)
        else:
            gone = [file for file in files[name] if not os.path.isfile(os.path.join(top, file))]
            needs = " ".join(sorted(name_of(file) for file in files[name][1:])) or "no other"
            told = f"{name} is a module that needs {needs}"
            told = f"of the module {name} {gone[0]} is gone" if gone else told
            note("module " + name, told, bool(gone))


def by_name(listed: str) -> "dict[str, list[str]]":
    """Of modules.dep or modules.builtin: a module's file, and those that it needs."""
    found = {}
    for line in listed.splitlines():
        file, _, needed = line.partition(":")
        found[name_of(file)] = [file, *needed.split()]
    return found


def name_of(file: str) -> str:
    return os.path.basename(file).partition(".")[0].replace("-", "_")
