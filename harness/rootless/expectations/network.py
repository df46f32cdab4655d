"""User-mode networking, the API over TCP, ping (M15, M27–M31)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations.derive import may_bind, network_driver, port_driver
from harness.rootless.expectations.model import OTHERWISE, Prediction, not_applicable, rule
from harness.rootless.expectations.promise import promise
from harness.rootless.expectations.sources import MANUAL, MOBY
from harness.rootless.expectations.start import (
    needs_containers,
    needs_daemon,
    needs_engine,
    needs_own_network,
    start,
)
from harness.rootless.expectations.versions import engine_at_least, rootlesskit_at_least
from harness.rootless.traits import assume, trait

STACKS = f"{MOBY}, 'Changing network stack'"
TCP = f"{MANUAL}, 'Expose Docker API socket through TCP'"
MTU_ASKED = 1300
ALERT = "remote error: tls: "  # what a client says that the server has sent away


def tcp_failure(stderr: str) -> str:
    """Why a client gets no answer over TCP, in the words of M27."""
    if "Cannot connect" in stderr or "connection refused" in stderr:
        return "unreachable"
    return "refused" if ALERT in stderr else OTHERWISE


def _because(facts: Facts) -> str:
    vpnkit = "present" if facts.binary("vpnkit") else "missing"
    return (
        f"slirp4netns {trait('slirp4netns').probe(facts)}, vpnkit {vpnkit}, "
        f"pasta {'present' if facts.binary('pasta') else 'missing'}, engine {facts.engine}"
    )


@rule("M29", source=STACKS)
@needs_daemon
def stack(facts: Facts) -> Prediction:
    """RootlessKit's network driver: `docker version` (23 and newer), else `--net` of its
    command line, while DOCKERD_ROOTLESS_ROOTLESSKIT_NET is not set."""
    return Prediction(network_driver(facts), _because(facts))


@rule("M29.mtu", source=STACKS)
@needs_daemon
def mtu(facts: Facts) -> Prediction:
    """`--mtu` of RootlessKit's command line: an integer.  (The large one for pasta was seen with
    28.5.2 on forky, that for gvisor-tap-vsock is the script's of 29.5; the documents know it for
    slirp4netns.)"""
    large = network_driver(facts) in ("slirp4netns", "pasta", "gvisor-tap-vsock")
    return Prediction(65520 if large else 1500, _because(facts))


@rule("M29.mtu_device", source=STACKS)
@needs_daemon
def mtu_device(facts: Facts) -> Prediction:
    """The MTU of the device tap0 of RootlessKit's network namespace, which is what its command
    line asked for."""
    if network_driver(facts) not in ("slirp4netns", "pasta", "vpnkit", "gvisor-tap-vsock"):
        return not_applicable(f"{network_driver(facts)} is no tap device")
    return mtu(facts)


@rule("M29.mtu_asked", source=STACKS)
@needs_daemon
def mtu_asked(facts: Facts) -> Prediction:
    """`--mtu` of RootlessKit's command line with DOCKERD_ROOTLESS_ROOTLESSKIT_MTU=1300."""
    return Prediction(MTU_ASKED, "asked for, whatever the stack")


@rule("M29.port_driver", source=STACKS)
@needs_daemon
def ports(facts: Facts) -> Prediction:
    """RootlessKit's port driver: ``builtin`` or ``implicit``."""
    return Prediction(port_driver(facts), _because(facts))


def _after(facts: Facts, slirp4netns: str) -> Prediction:
    changed = assume(facts, {"slirp4netns": slirp4netns})
    driver = network_driver(changed)
    return Prediction(f"starts: {driver}" if driver else start(changed), _because(changed))


@rule("M29.without_slirp4netns", source=STACKS)
@needs_daemon
def without_slirp4netns(facts: Facts) -> Prediction:
    """With slirp4netns out of PATH: ``starts: DRIVER``, or ``fails: network driver`` when the
    log says that one with slirp4netns of 0.4.0 or newer is needed, or ``fails: unknown network
    mode`` when rootlesskit says that (28.5.2 on forky asks for a driver, and goes on)."""
    return _after(facts, "missing")


@rule("M29.old_slirp4netns", source=STACKS)
@needs_daemon
def old_slirp4netns(facts: Facts) -> Prediction:
    """The same with a slirp4netns whose --help does not name --netns-type."""
    return _after(facts, "old")


def _pings(facts: Facts, group_range: str) -> Prediction:
    if network_driver(facts) not in ("slirp4netns", "pasta"):
        return not_applicable(f"no claim about ping through {network_driver(facts)}")
    low, high = (int(number) for number in group_range.split())
    works = low <= facts.uid <= high  # the user's own group has the user's number
    return Prediction(
        "answers" if works else "no answer",
        f"net.ipv4.ping_group_range {group_range}, gid {facts.uid}",
    )


@rule("M28", source=f"{MOBY}, 'Routing ping packets'")
@needs_containers
def ping(facts: Facts) -> Prediction:
    """`ping` in a container to an address outside the guest that is not served by the
    user-mode stack itself: ``answers`` or ``no answer``."""
    group_range = facts.sysctls.get("net.ipv4.ping_group_range")
    if group_range is None:
        return not_applicable("net.ipv4.ping_group_range does not exist on this kernel")
    return _pings(facts, group_range)


@rule("M28.closed", source=f"{MOBY}, 'Routing ping packets'")
@needs_containers
def ping_closed(facts: Facts) -> Prediction:
    """The same after net.ipv4.ping_group_range="1 0"."""
    return _pings(facts, "1 0")


@rule("M28.open", source=f"{MOBY}, 'Routing ping packets'")
@needs_containers
def ping_open(facts: Facts) -> Prediction:
    """The same after net.ipv4.ping_group_range="0 2147483647"."""
    return _pings(facts, "0 2147483647")


@rule("M27", source=TCP)
@needs_own_network
def tcp(facts: Facts) -> Prediction:
    """The API over TLS on 2376 with a client certificate of the right CA, published through
    DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS: ``answers``, ``unreachable``, or ``refused`` with an alert
    of TLS."""
    value = "answers" if may_bind(facts, 2376) else "refused"
    return Prediction(value, f"port 2376, port driver {port_driver(facts)}")


@rule("M27.elsewhere", source=TCP)
@needs_own_network
def tcp_elsewhere(facts: Facts) -> Prediction:
    """The same, asked by another machine: it is published on 0.0.0.0."""
    return tcp(facts)


promise("M27.unpublished", "unreachable", "The same without `-p 0.0.0.0:2376:2376/tcp`.",
        source=TCP, guard=needs_own_network)
promise("M27.no_certificate", "refused", "The same without a client certificate.",
        source=TCP, guard=needs_own_network)
promise("M27.wrong_ca", "refused", "The same with a client certificate of another CA.",
        source=TCP, guard=needs_own_network)
promise("M15", "attaching fails",
        "Two containers on an overlay network of a swarm of the one rootless node, one pinging "
        "the other: ``works``, or the step that fails: ``swarm``, ``network``, ``attaching`` a "
        "container, ``reaching`` it.",
        source=f"{MOBY}, 'Restrictions'")
promise("M15.rootful_control", "works",
        "The same with the system's daemon as the node.",
        source=f"{MOBY}, 'Restrictions'", guard=needs_engine)
promise("M30", "measured",
        "Bytes a second from a container to its machine, rootless and rootful: ``measured`` if "
        "any came.  The ratio is in the evidence; nothing is demanded of it.", source=STACKS)


@rule("M30.pasta", source=STACKS)
@needs_containers
def pasta(facts: Facts) -> Prediction:
    """The same through pasta, which DOCKERD_ROOTLESS_ROOTLESSKIT_NET asks for; or ``through `` and
    the stack that RootlessKit was told to take instead."""
    kit = f"rootlesskit {facts.rootlesskit or 'of unknown version'}"
    if not rootlesskit_at_least(facts, "2.0"):
        return not_applicable(f"{kit} knows no pasta")
    return Prediction("measured", kit)


@rule("M31.with_entry", source=STACKS)
@needs_engine
def lxc(facts: Facts) -> Prediction:
    """``--net=lxc-user-nic`` with an entry in /etc/lxc/lxc-usernet: ``starts``."""
    return _lxc(facts, "starts")


@rule("M31.without_entry", source=STACKS)
@needs_engine
def lxc_without(facts: Facts) -> Prediction:
    """``--net=lxc-user-nic`` without the entry: ``fails``."""
    return _lxc(facts, "fails")


@rule("M31.traffic", source=STACKS)
@needs_engine
def lxc_traffic(facts: Facts) -> Prediction:
    """A container then asks for the machine's SSH banner through LXC's bridge: ``answers`` or
    ``no answer``."""
    return _lxc(facts, "answers")


def _lxc(facts: Facts, value: str) -> Prediction:
    if not facts.binary("lxc-user-nic"):
        return not_applicable("no lxc-user-nic is installed")
    return Prediction(value, "lxc-user-nic is installed")


@rule("M29.named_by_version", source=f"{MANUAL}, 'Troubleshooting'")
@needs_daemon
def named(facts: Facts) -> Prediction:
    """The network and the port driver of the component ``rootlesskit`` of `docker version`, or
    ``no rootlesskit``."""
    drivers = f"{network_driver(facts)} {port_driver(facts)}"
    value = drivers if engine_at_least(facts, "23") else "no rootlesskit"
    return Prediction(value, f"engine {facts.engine}")
