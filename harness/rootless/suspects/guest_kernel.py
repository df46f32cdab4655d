# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH116, PTH118, SIM905
"""Runs in the guest: what the kernel is set to, keeps out, and has devices and routes for."""

import contextlib
import os
import re
import stat

from harness.rootless.suspects.guest_notes import note, owner, read, run

# What keeps something out or leads it elsewhere.
FILTERS = re.compile(r"-j (DROP|REJECT|REDIRECT|DNAT|TPROXY|NFQUEUE)\b|^:\S+ DROP")
NFT_FILTERS = re.compile(r"\b(drop|reject|queue|redirect|dnat|tproxy)\b")
FAMILIES = {"iptables-save": "ip", "ip6tables-save": "ip6"}
SWITCHES = "kernel user vm fs net/ipv4 net/ipv6 net/core net/netfilter net/bridge net/unix".split()
# Counters, keys, what memory is left at boot, and what cannot be read.
CHANGING = re.compile(
    r"random/|ns_last_pid|/nr$|-nr$|_nr$|-state$|inode|_count$|_key$|uuid|sched_domain|hostname|"
    r"tcp_mem|udp_mem|quota/|threads-max|file-max|/stat_|drop_caches|compact_memory|cap_last_cap|"
    r"net/ipv[46]/(neigh|route)/|perf_|keys/|tainted|pty/|binfmt_misc"
)
DEVICES = "/dev/net/tun /dev/fuse /dev/null /dev/zero /dev/random /dev/urandom /dev/shm".split()


def look() -> None:
    switches()
    firewall()
    routes()
    for path in DEVICES:
        with contextlib.suppress(OSError):
            seen = os.stat(path)
            mode = f"{stat.S_IMODE(seen.st_mode):o}"
            note("device " + path, f"{path} of {owner(seen.st_uid)} has mode {mode}")


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
                    note("switch " + knob, f"{knob} is {value[:80]}", value=value)


def firewall() -> None:
    """Note the rules; those of the daemon are as they should be."""
    told = set()  # tables, as nft names them: not told twice
    for command, family in FAMILIES.items():
        for line in run(command).splitlines():
            if line.startswith("*"):
                told.add(f"table {family} {line[1:]}")
            elif line.startswith(("-A", ":")) and " ACCEPT [" not in line:  # a chain's usual end
                rule = re.sub(r" ?\[[0-9:]*\]", "", line)
                own = "DOCKER" in rule or rule.startswith(":FORWARD")
                odd = FILTERS.search(rule) is not None and not own
                note(f"firewall {command} {rule}", f"{command} says {rule}", odd)
    table = ""
    for line in run("nft", "list", "ruleset").splitlines():
        rule = re.sub(r" ?(counter packets \d+ bytes \d+|expires \w+)", "", line.strip())
        if line.startswith("table "):
            table = "" if line.rstrip(" {") in told else line.rstrip(" {")
        elif table and rule.strip("}"):
            odd = NFT_FILTERS.search(rule) is not None
            note(f"firewall {table} {rule}", f"nft's {table} says {rule}", odd)


def routes() -> None:
    """Note devices, routes and what delays or loses packets."""
    for line in run("ip", "-o", "link", "show").splitlines():
        found = re.match(r"\d+: ([^:@]+)\S* <([^>]*)> mtu (\d+)", line)
        if found:
            name, flags, mtu = found.groups()
            state = "up" if "UP" in flags.split(",") else "down"
            note("link " + name, f"the device {name} is {state} with an MTU of {mtu}")
    for command in (("ip", "rule"), ("ip", "route"), ("tc", "qdisc", "show")):
        for line in run(*command).splitlines():
            told = re.sub(r"(expires \d+sec|qdisc (\S+) \S+|refcnt \d+) ?", r"\2 ", line).strip()
            odd = re.search("netem|blackhole|unreachable|prohibit", told) is not None
            note(f"{command[1]} {told}", f"{' '.join(command)} says {told}", odd)
