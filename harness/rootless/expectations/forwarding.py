"""What a published port carries beside TCP over IPv4, the address it shows, and stacks that were
asked for (P15, M29)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations.derive import (
    may_bind,
    network_driver,
    port_boundary,
    port_driver,
)
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.sources import MANUAL, MOBY, PHOTON
from harness.rootless.expectations.start import needs_containers, needs_daemon, start
from harness.rootless.expectations.versions import engine_at_least, rootlesskit_at_least
from harness.rootless.traits import assume, trait

USAGE = f"{PHOTON}, 'Usage'"
SOURCE_ADDRESS = f"{MANUAL}, 'docker run -p does not propagate source IP addresses'"
STACKS = f"{MOBY}, 'Changing network stack'"
CLIENT, OTHER = "the client's", "not the client's"


def _because(facts: Facts) -> str:
    return (
        f"engine {facts.engine}, rootlesskit {facts.rootlesskit or 'of unknown version'}, "
        f"port driver {port_driver(facts)}, lowest port {port_boundary(facts)}"
    )


@rule("P15.udp", source=USAGE)
@needs_containers
def udp(facts: Facts) -> Prediction:
    """A server on UDP published with `-p 5353:80/udp`: ``answers`` a datagram to 127.0.0.1,
    ``no answer``, or ``refused``."""
    return Prediction("answers" if may_bind(facts, 5353) else "refused", _because(facts))


@rule("P15.udp_low_port", source=USAGE)
@needs_containers
def udp_low_port(facts: Facts) -> Prediction:
    """`docker run -p 53:80/udp`: ``refused`` as for TCP, or ``published``."""
    return Prediction("published" if may_bind(facts, 53) else "refused", _because(facts))


@rule("P15.tcp6", source=USAGE)
@needs_containers
def tcp6(facts: Facts) -> Prediction:
    """A server published with `-p 8080:80`, asked on [::1]: ``answers`` or ``no answer``."""
    return _on_ipv6(facts, 8080)


@rule("P15.udp6", source=USAGE)
@needs_containers
def udp6(facts: Facts) -> Prediction:
    """The same of a server on UDP, published with `-p 5353:80/udp`."""
    return _on_ipv6(facts, 5353)


def _on_ipv6(facts: Facts, port: int) -> Prediction:
    if not facts.ipv6:
        return not_applicable("the machine has no ::1")
    if not may_bind(facts, port):
        return Prediction("refused", _because(facts))
    return Prediction("answers" if engine_at_least(facts, "20.10.6") else "no answer",
                      _because(facts))


@rule("P15.elsewhere", source=USAGE)
@needs_containers
def elsewhere(facts: Facts) -> Prediction:
    """The same servers, TCP and UDP, asked by another machine: ``answers`` if both do, else
    ``no answer``.  No document has a step for a firewall."""
    return Prediction("answers" if may_bind(facts, 5353) else "no answer", _because(facts))


@rule("P15.host_ip", source=USAGE)
@needs_containers
def host_ip(facts: Facts) -> Prediction:
    """A server published with `-p 127.0.0.1:8081:80`, asked there and at another address of the
    machine: ``127.0.0.1 alone``, ``elsewhere too``, ``no answer`` or ``refused``."""
    if port_driver(facts) != "builtin":
        return not_applicable(f"not known of {_because(facts)}")
    value = "127.0.0.1 alone" if may_bind(facts, 8080) else "refused"
    return Prediction(value, _because(facts))


@rule("P15.removed", source=USAGE)
@needs_containers
def removed(facts: Facts) -> Prediction:
    """A port that was published, after `docker rm -f` of its container: ``refused``, ``listens``
    or ``answers``."""
    return Prediction("refused", _because(facts))


@rule("P15.source", source=SOURCE_ADDRESS)
@needs_containers
def source(facts: Facts) -> Prediction:
    """Whose address a container sees on a connection to its published port, from another
    machine: ``the client's`` or ``not the client's``."""
    return Prediction(OTHER if port_driver(facts) == "builtin" else CLIENT, _because(facts))


@rule("P15.source_slirp4netns", source=SOURCE_ADDRESS)
@needs_containers
def source_slirp4netns(facts: Facts) -> Prediction:
    """The same with DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=slirp4netns."""
    return Prediction(CLIENT, f"port driver slirp4netns, engine {facts.engine}")


@rule("P15.exit_slirp4netns", source=SOURCE_ADDRESS)
@needs_containers
def exit_slirp4netns(facts: Facts) -> Prediction:
    """The exit status of `docker run -p 80:80` then.  slirp4netns binds the port, and its error
    is not one that the client maps to 126."""
    return Prediction(0 if port_boundary(facts) <= 80 else 125,
                      f"port driver slirp4netns, lowest port {port_boundary(facts)}")


@rule("M29.port_driver_chosen", source=STACKS)
@needs_daemon
def chosen(facts: Facts) -> Prediction:
    """`--port-driver` of RootlessKit's command line after
    DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=slirp4netns."""
    return Prediction("slirp4netns", f"the variable is set, engine {facts.engine}")


@rule("M29.mtu_chosen", source=STACKS)
@needs_daemon
def mtu_chosen(facts: Facts) -> Prediction:
    """RootlessKit's network driver and MTU after DOCKERD_ROOTLESS_ROOTLESSKIT_NET=slirp4netns:
    before 28.5.2 the large MTU is only for a stack that the script has chosen itself."""
    if trait("slirp4netns").probe(facts) == "missing":
        return not_applicable("no slirp4netns is installed that could be asked for")
    large = engine_at_least(facts, "28.5.2")
    return Prediction(f"slirp4netns {65520 if large else 1500}",
                      f"the variable is set, engine {facts.engine}")


@rule("M29.rootlessctl", source=f"{MANUAL}, 'Troubleshooting'")
@needs_daemon
def told_by_rootlessctl(facts: Facts) -> Prediction:
    """The network and the port driver that `rootlessctl info` names."""
    kit = f"rootlesskit {facts.rootlesskit or 'of unknown version'}"
    if not facts.binary("rootlessctl") or not rootlesskit_at_least(facts, "0.14"):
        return not_applicable(f"no rootlessctl that knows info: {kit}")
    return Prediction(f"{network_driver(facts)} {port_driver(facts)}", kit)


@rule("M29.pasta_instead", source=STACKS)
@needs_daemon
def pasta_instead(facts: Facts) -> Prediction:
    """With pasta installed and slirp4netns out of PATH: ``starts: pasta``, or as without both
    where the engine's script does not know it."""
    because = f"pasta present, slirp4netns missing, engine {facts.engine}"
    if engine_at_least(facts, "28.5.2"):
        return Prediction("starts: pasta", because)
    return Prediction(start(assume(facts, {"slirp4netns": "missing"})), because)
