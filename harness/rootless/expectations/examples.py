"""The home page's examples of what is rootless and what is not (R7–R19).

The subject must be on the guest; the observation is the audit's verdict on its container.
"""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations.identity import audit
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.sources import HOME
from harness.rootless.expectations.start import needs_containers, needs_engine

# Claim → what it is about, and the packages of which any one brings it.
ROOTLESS = {
    "R8": ("Podman run by a user", ("podman",)),
    "R9": ("BuildKit run by a user", ("buildkit",)),
    "R10": ("an unprivileged LXC container", ("lxc",)),
    "R11": ("Apptainer with user namespaces", ("apptainer", "singularity-container")),
}
NOT_ROOTLESS = {
    "R15": ("Podman run by root with --uidmap", ("podman",)),
    "R18": ("LXD or Incus", ("lxd", "incus")),
    "R19": ("Singularity with its setuid starter", ("singularity-container",)),
}
ROOTFUL_DOCKER = {
    "R12": "a container of the rootful daemon, started by a user of the group docker",
    "R13": "a container of the rootful daemon, started with --user",
    "R14": "a container of the rootful daemon with userns-remap",
}
PACKAGED_NOWHERE = {"R16": "Kaniko", "R17": "Makisu"}


def _packaged(key: str, subject: str, packages: tuple[str, ...], verdict: str) -> None:
    def predict(facts: Facts) -> Prediction:
        found = [name for name in packages if name in facts.packages]
        if not found:
            return not_applicable(f"none of {', '.join(packages)} is installed")
        return Prediction(verdict, f"{found[0]} {facts.packages[found[0]]}")

    predict.__doc__ = f"The audit's verdict on {subject}."
    rule(key, source=f"{HOME}, examples")(predict)


def _rootful(key: str, subject: str) -> None:
    def predict(facts: Facts) -> Prediction:
        return Prediction("not rootless", f"the daemon of engine {facts.engine} runs as root")

    predict.__doc__ = f"The audit's verdict on {subject}."
    rule(key, source=f"{HOME}, examples")(needs_engine(predict))


def _nowhere(key: str, subject: str) -> None:
    def predict(facts: Facts) -> Prediction:
        return not_applicable(f"{subject} is packaged nowhere that a guest could reach")

    predict.__doc__ = f"The audit's verdict on {subject}."
    rule(key, source=f"{HOME}, examples")(predict)


@rule("R7", source=f"{HOME}, examples")
@needs_containers
def docker(facts: Facts) -> Prediction:
    """The audit's verdict on rootless Docker."""
    return audit(facts)


for _key, (_subject, _packages) in ROOTLESS.items():
    _packaged(_key, _subject, _packages, "rootless")
for _key, (_subject, _packages) in NOT_ROOTLESS.items():
    _packaged(_key, _subject, _packages, "not rootless")
for _key, _subject in ROOTFUL_DOCKER.items():
    _rootful(_key, _subject)
for _key, _subject in PACKAGED_NOWHERE.items():
    _nowhere(_key, _subject)
