"""The home page's examples of what is rootless and what is not (R7–R19).

The subject must be on the guest; the observation is the audit's verdict on its container.
"""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations.identity import audit
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.sources import HOME
from harness.rootless.expectations.start import needs_containers, needs_engine, userns_failure
from harness.rootless.expectations.versions import engine_at_least
from harness.rootless.traits import trait

# Claim → what it is about, and the packages of which any one brings it.
ROOTLESS = {
    "R8": ("a container of Podman run by a user", ("podman",)),
    "R9": ("a step of a build by a user's own BuildKit daemon", ("buildkit", "moby-buildkit")),
    "R9.buildah": ("a step of a build by Buildah run by a user", ("buildah",)),
    "R10": ("an unprivileged LXC container", ("lxc",)),
    "R11": ("Apptainer with user namespaces", ("apptainer", "singularity-container")),
}
NOT_ROOTLESS = {
    "R15": ("a container of Podman run by root with --uidmap", ("podman",)),
    "R18": ("a container of LXD or Incus", ("lxd", "incus-base", "incus")),
    "R19": (
        "Apptainer or Singularity with the setuid starter",
        ("apptainer-suid", "apptainer", "singularity-container"),
    ),
}
ROOTFUL_DOCKER = {
    "R12": "a container of the rootful daemon, started by a user of the group docker",
    "R13": "a container of the rootful daemon, started with --user",
    "R14": "a container of the rootful daemon with userns-remap",
}
PACKAGED_NOWHERE = {"R16": "Kaniko", "R17": "Makisu"}
PACKAGES = {key: packages for key, (_, packages) in (ROOTLESS | NOT_ROOTLESS).items()}
_AUDIT = "The audit's verdict on {}; ``does not run`` where the engine fails."


def _clean(facts: Facts, because: str) -> Prediction:
    groups = trait("user-groups").probe(facts)
    value = "rootless" if groups == "none" else "not rootless"
    return Prediction(value, f"{because}, root-equivalent groups {groups}")


def _found(facts: Facts, key: str) -> str:
    """The package that brings the subject, with its version; empty for none."""
    return next((f"{n} {facts.packages[n]}" for n in PACKAGES[key] if n in facts.packages), "")


def _missing(key: str) -> Prediction:
    return not_applicable(f"none of {', '.join(PACKAGES[key])} is installed")


def _rootless(key: str, subject: str) -> None:
    def predict(facts: Facts) -> Prediction:
        found = _found(facts, key)
        if not found:
            return _missing(key)
        if reason := userns_failure(facts):
            return not_applicable(f"a user gets no user namespace here: {reason}")
        return _clean(facts, found)

    predict.__doc__ = _AUDIT.format(subject)
    rule(key, source=f"{HOME}, examples")(predict)


def _not_rootless(key: str, subject: str) -> None:
    def predict(facts: Facts) -> Prediction:
        found = _found(facts, key)
        return Prediction("not rootless", found) if found else _missing(key)

    predict.__doc__ = _AUDIT.format(subject)
    rule(key, source=f"{HOME}, examples")(predict)


def _rootful(key: str, subject: str) -> None:
    def predict(facts: Facts) -> Prediction:
        return Prediction("not rootless", f"the daemon of engine {facts.engine} runs as root")

    predict.__doc__ = _AUDIT.format(subject)
    rule(key, source=f"{HOME}, examples")(needs_engine(predict))


def _nowhere(key: str, subject: str) -> None:
    def predict(facts: Facts) -> Prediction:
        return not_applicable(f"{subject} is packaged nowhere that a guest could reach")

    predict.__doc__ = _AUDIT.format(subject)
    rule(key, source=f"{HOME}, examples")(predict)


@rule("R7", source=f"{HOME}, examples")
@needs_containers
def docker(facts: Facts) -> Prediction:
    """The audit's verdict on rootless Docker."""
    return audit(facts)


@rule("R9.embedded", source=f"{HOME}, examples")
@needs_containers
def embedded(facts: Facts) -> Prediction:
    """The audit's verdict on a step of a build by the BuildKit inside the rootless daemon."""
    if engine_at_least(facts, "23") and not _buildx(facts):
        return not_applicable("from 23 on the client needs buildx, and none is installed")
    return audit(facts)


def _buildx(facts: Facts) -> bool:
    return any(name in facts.packages for name in ("docker-buildx", "docker-buildx-plugin"))


@rule("R19.stand_in", source=f"{HOME}, examples")
def stand_in(facts: Facts) -> Prediction:
    """The audit's verdict on a setuid starter made for the purpose, which does what
    Singularity's does: make namespaces as root, then hand over to the user."""
    return Prediction("not rootless", "the starter is setuid root")


for _key, (_subject, _) in ROOTLESS.items():
    _rootless(_key, _subject)
for _key, (_subject, _) in NOT_ROOTLESS.items():
    _not_rootless(_key, _subject)
for _key, _subject in ROOTFUL_DOCKER.items():
    _rootful(_key, _subject)
for _key, _subject in PACKAGED_NOWHERE.items():
    _nowhere(_key, _subject)
