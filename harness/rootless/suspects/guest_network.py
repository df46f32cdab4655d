# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH116
"""Runs in the guest: what filters and routes there are, also in the network that a daemon has."""

import contextlib
import os
import re

from harness.rootless.suspects.guest_notes import note, run

# What keeps something out or leads it elsewhere.
FILTERS = re.compile(r"-j (DROP|REJECT|REDIRECT|DNAT|TPROXY|NFQUEUE)\b|^:\S+ DROP")
NFT_FILTERS = re.compile(r"\b(drop|reject|queue|redirect|dnat|tproxy)\b")
FAMILIES = {"iptables-save": "ip", "ip6tables-save": "ip6"}
RULESET, LINKS = "nft list ruleset", "ip -o link show"
ROUTES = ("ip rule", "ip route", "tc qdisc show")
# Each network has these of its own, one for each device.
SET = ("ip_forward", *("conf/*/" + name for name in (
    "forwarding", "rp_filter", "route_localnet", "accept_local")))  # fmt: skip
SWITCHES = " ".join(["grep -s ''", *("/proc/sys/net/ipv4/" + name for name in SET)])
OF_A_CONTAINER = re.compile(r"\.(veth|br-)")
ASKED = (*FAMILIES, RULESET, LINKS, *ROUTES, SWITCHES)
END = "=== all was said\n"


class Network:
    """The machine's, or the one that a file of the kernel's stands for.

    One shell asks everything: each ``nsenter`` would cost as much as what it starts.
    """

    def __init__(self, name: str = "", file: str = "") -> None:
        self.detail = f"network {name}\t" if name else ""
        self.where = f" in {name}'s network" if name else ""
        inside = ("nsenter", "--net=" + file) if file else ()
        end = f"printf '\\n{END[:-1]}\\n'"
        script = "\n".join(["exec 2> /dev/null", *(f"{command}; {end}" for command in ASKED)])
        said = run(*inside, "sh", "-c", script).split("\n" + END)
        self.said = dict(zip(ASKED, [*said, *("" for _ in ASKED)]))  # noqa: B905

    def note(self, key: str, told: str, odd: bool = False) -> None:
        note(self.detail + key, told, odd)


def look(daemons: "list[tuple[str, str, int]]") -> None:
    """*daemons*: the name, the pid and the user of each that is in a user namespace."""
    machine_wide = Network()
    firewall(machine_wide)
    routes(machine_wide)
    seen: set[int] = set()
    with contextlib.suppress(OSError):
        machine = os.stat("/proc/1/ns/net")
        for name, pid, uid in daemons:
            # RootlessKit 2 may keep its daemon's network detached, as a file.
            detached = f"/proc/{pid}/root/run/user/{uid}/dockerd-rootless/netns"
            for file in (f"/proc/{pid}/ns/net", detached):
                with contextlib.suppress(OSError):
                    status = os.stat(file)
                    if status.st_dev != machine.st_dev or status.st_ino in {machine.st_ino, *seen}:
                        continue
                    seen.add(status.st_ino)
                    network = Network(name, file)
                    note(f"network {name}", f"{name} has a network of its own")
                    firewall(network)
                    routes(network)
                    switches(network)


def firewall(network: Network) -> None:
    """Note the rules; those of the daemon are as they should be."""
    told = set()  # tables, as nft names them: not told twice
    for command, family in FAMILIES.items():
        for line in network.said[command].splitlines():
            if line.startswith("*"):
                told.add(f"table {family} {line[1:]}")
            elif line.startswith(("-A", ":")) and " ACCEPT [" not in line:  # a chain's usual end
                rule = re.sub(r" ?\[[0-9:]*\]", "", line)
                own = "DOCKER" in rule or rule.startswith(":FORWARD")
                odd = FILTERS.search(rule) is not None and not own
                told_here = f"{command} says {rule}{network.where}"
                network.note(f"firewall {command} {rule}", told_here, odd)
    table = ""
    for line in network.said[RULESET].splitlines():
        rule = re.sub(r" ?(counter packets \d+ bytes \d+|expires \w+)", "", line.strip())
        if line.startswith("table "):
            table = "" if line.rstrip(" {") in told else line.rstrip(" {")
        elif table and rule.strip("}"):
            odd = NFT_FILTERS.search(rule) is not None
            told_here = f"nft's {table} says {rule}{network.where}"
            network.note(f"firewall {table} {rule}", told_here, odd)


def switches(network: Network) -> None:
    """Note what the kernel does with packets there; of the machine's network /proc/sys is."""
    for line in network.said[SWITCHES].splitlines():
        path, _, value = line.partition(":")
        knob = path[len("/proc/sys/"):].replace("/", ".")
        if value and not OF_A_CONTAINER.search(knob):
            network.note("switch " + knob, f"{knob} is {value}{network.where}")


def routes(network: Network) -> None:
    """Note devices, routes and what delays or loses packets."""
    for line in network.said[LINKS].splitlines():
        found = re.match(r"\d+: ([^:@]+)\S* <([^>]*)> mtu (\d+)", line)
        if found:
            name, flags, mtu = found.groups()
            state = "up" if "UP" in flags.split(",") else "down"
            told = f"the device {name}{network.where} is {state} with an MTU of {mtu}"
            network.note("link " + name, told)
    for command in ROUTES:
        for line in network.said[command].splitlines():
            told = re.sub(r"(expires \d+sec|qdisc (\S+) \S+|refcnt \d+) ?", r"\2 ", line).strip()
            odd = re.search("netem|blackhole|unreachable|prohibit", told) is not None
            said = f"{command} says {told}{network.where}"
            network.note(f"{command.split()[1]} {told}", said, odd)
