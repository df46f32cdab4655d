"""Published ports (P15, P16, M16, M17).

Two rules of P16 speak of a machine after a remedy.  They assume the change themselves, so the
facts may be read before it or after it.  The third speaks of the machine as it was found.
"""

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
from harness.rootless.expectations.start import needs_containers
from harness.rootless.expectations.versions import engine_at_least, rootlesskit_at_least
from harness.rootless.traits import assume, trait

NETWORKING = f"{PHOTON}, 'Limitations'; {MANUAL}, 'Networking errors'"
PRIVILEGED = f"{MANUAL}, 'Exposing privileged ports'"
REFUSED = "cannot expose privileged port"  # what `docker run` then says
UNSUPPORTED = r'protocol \\?"sctp4?\\?" is not supported by the RootlessKit port driver'
REFUSED_EXIT = 126  # the client maps "permission denied" to it


def refused(port: int, said: str) -> bool:
    """Whether `docker run` *said* that users may not publish this port."""
    return f"{REFUSED} {port}," in said


def _because(facts: Facts) -> str:
    capabilities = trait("rootlesskit-capabilities").probe(facts)
    return (
        f"net.ipv4.ip_unprivileged_port_start {port_boundary(facts)}, capabilities of "
        f"rootlesskit {capabilities}, port driver {port_driver(facts)}"
    )


def _published(facts: Facts, port: int, yes: str = "published") -> Prediction:
    return Prediction(yes if may_bind(facts, port) else "refused", _because(facts))


@rule("P15.low_port", source=NETWORKING)
@needs_containers
def low_port(facts: Facts) -> Prediction:
    """`docker run -p 80:80`: ``refused`` with REFUSED and 80 in stderr, or ``published``."""
    return _published(facts, 80)


@rule("P15.exit", source=NETWORKING)
@needs_containers
def low_port_exit(facts: Facts) -> Prediction:
    """The exit status of `docker run -p 80:80` with a command that succeeds."""
    return Prediction(0 if may_bind(facts, 80) else REFUSED_EXIT, _because(facts))


@rule("P15.1023", source=NETWORKING)
@needs_containers
def below(facts: Facts) -> Prediction:
    """`docker run -p 1023:80`: ``refused`` or ``published``."""
    return _published(facts, 1023)


@rule("P15.1024", source=NETWORKING)
@needs_containers
def boundary(facts: Facts) -> Prediction:
    """`docker run -p 1024:80`: ``refused`` or ``published``."""
    return _published(facts, 1024)


@rule("P15.high_port", source=f"{PHOTON}, 'Usage'")
@needs_containers
def high_port(facts: Facts) -> Prediction:
    """A server published with `-p 8080:80`: ``served`` if it answers from outside the
    container's namespaces, else ``refused``."""
    return _published(facts, 8080, "served")


@rule("M17", source=f"{MOBY}, 'Restrictions'")
@needs_containers
def lowest(facts: Facts) -> Prediction:
    """Both sides of 1024, in the words of P15: ``1023 refused, 1024 published``."""
    sides = (f"{port} {_published(facts, port).value}" for port in (1023, 1024))
    return Prediction(", ".join(sides), _because(facts))


@rule("P16.sysctl", source=PRIVILEGED)
@needs_containers
def sysctl(facts: Facts) -> Prediction:
    """After net.ipv4.ip_unprivileged_port_start=80: port 80 ``answers`` or is ``refused``."""
    if trait("port-boundary").probe(facts) == "absent":
        return not_applicable("net.ipv4.ip_unprivileged_port_start does not exist on this kernel")
    return _published(assume(facts, {"port-boundary": "80"}), 80, "answers")


@rule("P16.capability", source=PRIVILEGED)
@needs_containers
def capability(facts: Facts) -> Prediction:
    """After `setcap cap_net_bind_service=ep` on rootlesskit and a restart of the daemon: port
    80 ``answers`` or is ``refused``."""
    if port_driver(facts) != "builtin":
        return not_applicable(f"rootlesskit does not bind the ports: {_because(facts)}")
    changed = assume(facts, {"rootlesskit-capabilities": "cap_net_bind_service"})
    return _published(changed, 80, "answers")


@rule("P16.undone", source=PRIVILEGED)
@needs_containers
def undone(facts: Facts) -> Prediction:
    """After taking either remedy back, so that the machine is as it was found: port 80 is
    ``refused`` again, or ``answers`` where it did before."""
    return _published(facts, 80, "answers")


def _sctp_because(facts: Facts) -> str:
    return (
        f"rootlesskit {facts.rootlesskit or 'of unknown version'}, "
        f"network driver {network_driver(facts)}"
    )


@rule("M16.sctp", source=f"{MOBY}, 'Restrictions'")
@needs_containers
def sctp(facts: Facts) -> Prediction:
    """`docker run -p 5001:5001/sctp`: ``nothing listens`` if no SCTP endpoint is on the host."""
    return Prediction("nothing listens", _sctp_because(facts))


@rule("M16.exit", source=f"{MOBY}, 'Restrictions'")
@needs_containers
def sctp_exit(facts: Facts) -> Prediction:
    """The exit status of that command, with a container command that succeeds."""
    return Prediction(0 if rootlesskit_at_least(facts, "0.14.2") else 125, _sctp_because(facts))


@rule("M16.log", source=f"{MOBY}, 'Restrictions'")
@needs_containers
def sctp_log(facts: Facts) -> Prediction:
    """Whether the daemon's log then says that the protocol is not supported (UNSUPPORTED): ``says
    so`` or ``silent``.  Before 28 that is said by rootlesskit-docker-proxy, to whom dockerd does
    not listen (measured: 20.10.24)."""
    if not rootlesskit_at_least(facts, "0.14.2"):
        return not_applicable(f"the run itself fails: {_sctp_because(facts)}")
    said = engine_at_least(facts, "28")
    return Prediction("says so" if said else "silent",
                      f"engine {facts.engine}, {_sctp_because(facts)}")
