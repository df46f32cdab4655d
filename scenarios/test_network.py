"""The user-mode network stack between containers and the machine."""

from __future__ import annotations

import re

import pytest

from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.packages import manager
from harness.rootless import attempt, kit, printed, processes
from harness.rootless.engine import Docker
from harness.session.decide import Decider

pytestmark = [pytest.mark.network]

# A documentation address: the stack itself does not answer for it, the machine does.
OUTSIDE = "192.0.2.1"
RANGE = "net.ipv4.ping_group_range"
DEVICE = """
PATH=$PATH:/usr/sbin:/sbin
netns=/proc/$1/root$2/netns  # with --detach-netns dockerd itself is in the machine's
[ -e "$netns" ] || netns=/proc/$1/ns/net
nsenter --net="$netns" ip -o link show dev tap0
"""
SLIRP = r"""tr '\0' '\n' < /proc/"$(pgrep -u "$1" -n -f 'slirp4netns.* tap0$')"/cmdline"""
PING = 'ping -c 1 -W 3 "$1" || ping -c 5 -W 10 "$1"'  # the second where the guest may be slow
OLD_SLIRP = """#!/bin/sh
# The program as it was before --netns-type, for who asks it.
if [ "$1" = --help ]; then
    "$0.new" --help | grep -v -e --netns-type
else
    exec "$0.new" "$@"
fi
"""


def component(docker: Docker) -> tuple[dict[str, str] | None, Result]:
    """What `docker version` tells of RootlessKit, or nothing."""
    version = docker("version", "--format", "{{json .Server.Components}}")
    parts = printed.as_json(version) or []
    found = [part["Details"] for part in parts if part["Name"] == "rootlesskit"]
    return (found[0] if found else None), version


@pytest.mark.claims("M29", "M29.mtu", "M29.mtu_device", "M29.port_driver", "M29.named_by_version",
                    "M29.words", "M29.sandbox")  # fmt: skip
def test_stack(guest: Guest, docker: Docker, decide: Decider) -> None:
    """slirp4netns is the stack where it is installed, with an MTU and a port driver to match."""
    arguments = kit.arguments(guest)
    named, version = component(docker)
    told = "no rootlesskit"
    if named is not None:
        told = " ".join(named.get(name, "none") for name in ("NetworkDriver", "PortDriver"))
    decide("M29.named_by_version", told, version)
    net = kit.option(arguments, "net")
    if named is not None:
        net = named.get("NetworkDriver", net)
    evidence = f"{arguments.transcript}\n{version.transcript}"
    decide("M29", net, evidence)
    mtu = kit.option(arguments, "mtu")
    decide("M29.mtu", int(mtu) if mtu else "none", arguments)
    daemon = processes.pid(guest, "dockerd")
    device = guest.root.sh(DEVICE, daemon, kit.state_directory(guest), check=False)
    has = re.search(r" mtu (\d+)", device.stdout)
    decide("M29.mtu_device", int(has.group(1)) if has else "no tap0", device)
    decide("M29.port_driver", kit.option(arguments, "port-driver") or "none", arguments)
    others = kit.options(arguments, "net", "mtu", "port-driver", "state-dir")
    decide("M29.words", others or "none", arguments)
    # The newest: a wrapper that waits for it has its words too.
    slirp = guest.root.sh(SLIRP, guest.access.user, check=False)
    shut = sorted(word for word in slirp.stdout.splitlines() if word.startswith("--enable-"))
    decide("M29.sandbox", " ".join(shut) or "nothing", slirp)


@pytest.mark.claims("M29.rootlessctl")
def test_rootlessctl(guest: Guest, decide: Decider) -> None:
    """RootlessKit itself tells its drivers to who asks it."""
    if guest.facts.binary("rootlessctl") is None:
        decide("M29.rootlessctl", None)
        return
    api = f"{kit.state_directory(guest)}/api.sock"
    told = guest.user.run("rootlessctl", "--socket", api, "info", "--json", check=False)
    seen = f"exit {told.exit_status}"
    if told.ok:
        info = printed.as_json(told)
        seen = " ".join(info[name]["driver"] for name in ("networkDriver", "portDriver"))
    decide("M29.rootlessctl", seen, told)


@pytest.mark.nightly
@pytest.mark.claims("M29.mtu_chosen")
def test_chosen_stack(guest: Guest, decide: Decider) -> None:
    """A stack that the user asks for is taken, with the MTU that the script has for it."""
    tried = attempt.begin(guest, env={"DOCKERD_ROOTLESS_ROOTLESSKIT_NET": "slirp4netns"})
    arguments = kit.arguments(guest)
    seen = " ".join(kit.option(arguments, name) or "none" for name in ("net", "mtu"))
    if tried.outcome != "starts":
        seen = tried.outcome
    decide("M29.mtu_chosen", seen, f"{tried.evidence}\n{arguments.transcript}")


def restarted(guest: Guest) -> tuple[str, str]:
    """Start the daemon anew: ``starts: DRIVER``, or how it fails."""
    tried = attempt.begin(guest)
    if tried.outcome != "starts":
        return tried.outcome, tried.evidence
    arguments = kit.arguments(guest)
    return f"starts: {kit.option(arguments, 'net')}", f"{tried.evidence}\n{arguments.transcript}"


def slirp4netns(guest: Guest) -> str:
    """The path of slirp4netns, for who takes it away."""
    binary = guest.facts.binary("slirp4netns")
    if binary is None:
        pytest.skip("no slirp4netns is installed that could be taken away")
    return binary.path


@pytest.mark.claims("M29.without_slirp4netns")
def test_without_slirp4netns(guest: Guest, decide: Decider) -> None:
    """Without slirp4netns another stack is taken, and without any the daemon does not start."""
    path = slirp4netns(guest)
    guest.root.run("mv", path, f"{path}.away")
    decide("M29.without_slirp4netns", *restarted(guest))


@pytest.mark.nightly
@pytest.mark.claims("M29.pasta_instead")
def test_pasta_instead(guest: Guest, distro: Distro, decide: Decider) -> None:
    """Where slirp4netns is missing pasta is taken, by engines that know it."""
    packages = manager(distro.package_manager, guest.root)
    packages.refresh()
    if not packages.versions("passt"):
        decide.not_applicable("M29.pasta_instead", f"{distro.package_manager} offers no passt")
        return
    packages.install("passt")
    path = slirp4netns(guest)
    guest.root.run("mv", path, f"{path}.away")
    decide("M29.pasta_instead", *restarted(guest))


@pytest.mark.claims("M29.old_slirp4netns")
def test_old_slirp4netns(guest: Guest, decide: Decider) -> None:
    """A slirp4netns from before 0.4.0 counts as none."""
    path = slirp4netns(guest)
    guest.root.run("mv", path, f"{path}.new")
    guest.root.write(path, OLD_SLIRP, 0o755)
    told = guest.user.sh('"$1" --help | grep -c -e --netns-type', path, check=False)
    if told.stdout.strip() != "0":
        decide("M29.old_slirp4netns", "another slirp4netns goes before it", told)
        return
    decide("M29.old_slirp4netns", *restarted(guest))


@pytest.mark.claims("M28", "M28.open", "M28.closed")
def test_ping(guest: Guest, docker: Docker, decide: Decider) -> None:
    """A container's ping goes out only where the kernel lets the user's group send one."""
    # The stack's host side is the machine's own network: an address of it will do.
    guest.root.sh('PATH=$PATH:/usr/sbin:/sbin ip address add "$1/32" dev lo', OUTSIDE)
    docker("run", "-d", "--name", "pinger", "busybox", "sleep", "600")

    def ping(groups: str) -> tuple[str, Result]:
        if groups:
            guest.root.sh('PATH=$PATH:/usr/sbin:/sbin sysctl -w "$1"', f"{RANGE}={groups}")
        result = docker("exec", "pinger", "sh", "-c", PING, "sh", OUTSIDE, check=False)
        return ("answers" if result.ok else "no answer"), result

    decide("M28", *ping(""))
    decide("M28.open", *ping("0 2147483647"))
    decide("M28.closed", *ping("1 0"))
