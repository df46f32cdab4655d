"""Is it rootless at all: the audit's verdicts (P1, M1, M2, D1–D4, R1–R6, R20)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations.model import Prediction, rule
from harness.rootless.expectations.promise import promise
from harness.rootless.expectations.sources import HOME, MANUAL, MOBY, PHOTON
from harness.rootless.expectations.start import needs_containers, needs_daemon
from harness.rootless.expectations.versions import engine_at_least
from harness.rootless.traits import trait

HARMLESS = ("none", "cap_net_bind_service")  # on rootlesskit: passes, and is mentioned
# The rest runs in RootlessKit's user namespace, where the kernel ignores a setuid bit of a user
# who is not mapped there.
OUTSIDE = frozenset(("docker", "rootlesskit", "slirp4netns"))


def _values(facts: Facts) -> tuple[str, str, str]:
    names = ("user-groups", "privileged-binaries", "rootlesskit-capabilities")
    groups, binaries, capabilities = (trait(name).probe(facts) for name in names)
    return groups, binaries, capabilities


def _because(facts: Facts) -> str:
    groups, binaries, capabilities = _values(facts)
    return (
        f"root-equivalent groups {groups}, privileged engine binaries {binaries}, "
        f"capabilities of rootlesskit {capabilities}"
    )


def audit(facts: Facts) -> Prediction:
    """The verdict of the audit: ``rootless`` or ``not rootless``."""
    groups, binaries, capabilities = _values(facts)
    gained = OUTSIDE.intersection(binaries.split())
    clean = groups == "none" and not gained and capabilities in HARMLESS
    return Prediction("rootless" if clean else "not rootless", _because(facts))


def _audited(key: str, source: str, observe: str) -> None:
    def predict(facts: Facts) -> Prediction:
        return audit(facts)

    predict.__doc__ = observe
    rule(key, source=source)(needs_containers(predict))


_AUDIT = "The audit's verdict on a running container: ``rootless`` or ``not rootless``."
_audited("P1", f"{PHOTON}, 'Introduction'", _AUDIT)
_audited("R2", f"{HOME}, definition", _AUDIT)


@rule("M1", source=f"{MOBY}, 'Introduction'")
@needs_daemon
def namespaces(facts: Facts) -> Prediction:
    """Which of mnt, net and user of dockerd differ from PID 1's, in the alphabet's order."""
    host_network = engine_at_least(facts, "29.5")  # --detach-netns
    return Prediction("mnt user" if host_network else "mnt net user", f"engine {facts.engine}")


def _privileged_binaries(facts: Facts) -> Prediction:
    _, binaries, capabilities = _values(facts)
    names = set(OUTSIDE.intersection(binaries.split()))
    if capabilities != "none":
        names.add("rootlesskit")
    value = f"also: {' '.join(sorted(names))}" if names else "only helpers"
    return Prediction(value, _because(facts))


_GAINS = (
    "The binaries whose setuid bit or file capabilities gave somebody something on the host "
    "between starting the daemon and the end of a container: ``only helpers`` (newuidmap, "
    "newgidmap, lxc-user-nic), else ``also: `` and the others' names."
)


def _helpers_only(key: str, source: str) -> None:
    def predict(facts: Facts) -> Prediction:
        return _privileged_binaries(facts)

    predict.__doc__ = _GAINS
    rule(key, source=source)(needs_containers(predict))


_helpers_only("M2", f"{MOBY}, 'Introduction'")
_helpers_only("R4", f"{HOME}, definition")

promise("D1", "non-root", "The owner of dockerd in the initial user namespace: ``non-root`` if "
        "none of its four uids is 0.", source=f"{MANUAL}, 'Introduction'", guard=needs_daemon)


@rule("D2", source=f"{MANUAL}, 'Introduction'")
@needs_daemon
def installation(facts: Facts) -> Prediction:
    """``no privilege used`` if the transcript of installing has no sudo, the user is in no
    root-equivalent group and no rule of sudo is the user's, else ``privilege at hand``."""
    groups = _values(facts)[0]
    value = "no privilege used" if groups == "none" else "privilege at hand"
    return Prediction(value, f"root-equivalent groups {groups}")


promise("D3", "own user namespace", "dockerd's user namespace against PID 1's, and whether the "
        "container's is the same as dockerd's or below it.",
        source=f"{MANUAL}, 'How it works'", guard=needs_daemon)
promise("D4", "owner is the user", "The owner (NS_GET_OWNER_UID) of each user namespace from the "
        "container's up to the initial one: ``owner is the user`` if none is 0.",
        source=f"{MANUAL}, 'How it works'")
promise("R1", "create run exec stop logs start kill remove", "Which of these an unprivileged user "
        "can do to a container, in this order.", source=f"{HOME}, definition")
promise("R1.init", "docker-init", "The first process of a container of `docker run --init`, by "
        "name, where a package brings docker-init; or how the run fails.",
        source="docker run, --init")
promise("R3", "not rootless", "The audit's verdict on `docker run --user 1000` of the rootful "
        "daemon.", source=f"{HOME}, definition")
promise("R5", "not rootless", "The audit's verdict where the runtime itself is setuid root.",
        source=f"{HOME}, definition")
promise("R6", "not root", "Container root seen from the initial user namespace: ``not root`` if "
        "its uid there is not 0, and its maps contain neither that nor root's group.",
        source=f"{HOME}, definition")
promise("R20", "contained", "Container root with / of the guest bind-mounted: ``contained`` if it "
        "cannot read /etc/shadow nor write to /etc.", source=f"{HOME}, 'Why'")

