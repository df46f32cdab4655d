"""The id-map helpers, and the packages that bring them (P4, P5, P7, M3, M4, M10, D5)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations import requirements
from harness.rootless.expectations.derive import storage_driver
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.packaging import own_packages
from harness.rootless.expectations.sources import MANUAL, MOBY, PHOTON
from harness.rootless.expectations.start import needs_engine, needs_tool, start
from harness.rootless.traits import assume, trait

HELPERS = ("newuidmap", "newgidmap")


def _without(facts: Facts, name: str) -> Facts:
    return assume(facts, {name: "missing"})


def _check_without(facts: Facts, name: str) -> Prediction:
    because = f"setup tool of engine {facts.engine}, {name} missing"
    return Prediction(requirements.check(_without(facts, name)), because)


def _start_without(facts: Facts, name: str) -> Prediction:
    return Prediction(start(_without(facts, name)), f"{name} missing, nothing else changed")


@rule("M3", source=f"{MOBY}, 'Requirements'")
@needs_engine
def both(facts: Facts) -> Prediction:
    """Which of the two helpers are installed, in the alphabet's order."""
    names = [name for name in sorted(HELPERS) if facts.binary(name)]
    values = ", ".join(f"{name} {trait(name).probe(facts)}" for name in HELPERS)
    return Prediction(" ".join(names) or "none", values)


@rule("M3.newuidmap", source=f"{MOBY}, 'Requirements'")
@needs_tool
def check_newuidmap(facts: Facts) -> Prediction:
    """`check` with newuidmap out of PATH, in the words of requirements.py."""
    return _check_without(facts, "newuidmap")


@rule("M3.newgidmap", source=f"{MOBY}, 'Requirements'")
@needs_tool
def check_newgidmap(facts: Facts) -> Prediction:
    """`check` with newgidmap out of PATH: most versions do not look."""
    return _check_without(facts, "newgidmap")


@rule("M3.start_newuidmap", source=f"{MOBY}, 'Requirements'")
@needs_engine
def start_newuidmap(facts: Facts) -> Prediction:
    """Starting the daemon without newuidmap: ``fails: newuidmap``."""
    return _start_without(facts, "newuidmap")


@rule("M3.start", source=f"{MOBY}, 'Requirements'")
@needs_engine
def start_newgidmap(facts: Facts) -> Prediction:
    """Starting the daemon without newgidmap: ``fails: newgidmap``."""
    return _start_without(facts, "newgidmap")


@rule("M3.powerless", source=f"{MOBY}, 'Requirements'")
@needs_engine
def start_powerless(facts: Facts) -> Prediction:
    """Starting the daemon after `chmod u-s` on newuidmap: ``fails: newuidmap``."""
    changed = assume(facts, {"newuidmap": "powerless"})
    return Prediction(start(changed), "newuidmap has neither setuid nor file capabilities")


@rule("D5", source=f"{MANUAL}, 'Prerequisites'")
@needs_engine
def privileged(facts: Facts) -> Prediction:
    """How the helpers get their privilege: ``setuid root``, ``file capabilities``,
    ``more than it needs``, ``powerless`` or ``missing``; both, joined by a slash, where they
    differ."""
    values = [trait(name).probe(facts) for name in HELPERS]
    return Prediction("/".join(dict.fromkeys(values)), "newuidmap and newgidmap as installed")


def _owner(facts: Facts, package: str) -> Prediction:
    if package not in facts.packages:
        return not_applicable(f"no package named {package} is installed")
    return Prediction(package, f"{package} {facts.packages[package]} is installed")


@rule("M4", source=f"{MOBY}, 'Requirements'")
@own_packages
def uidmap(facts: Facts) -> Prediction:
    """The package that owns both helpers."""
    return _owner(facts, "uidmap")


@rule("P5", source=f"{PHOTON}, 'Prerequisites'")
@own_packages
def shadow(facts: Facts) -> Prediction:
    """The package that owns both helpers."""
    return _owner(facts, "shadow")


@rule("M10", source=f"{MOBY}, 'Distribution-specific hint', RHEL/CentOS 7")
@own_packages
def shadow_utils(facts: Facts) -> Prediction:
    """The package that owns both helpers: where it is shadow-utils, no COPR package is needed."""
    return _owner(facts, "shadow-utils")


def _photon(facts: Facts) -> Prediction | None:
    if "docker-rootless" not in facts.packages:
        return not_applicable("no package named docker-rootless is installed")
    return None


@rule("P4", source=f"{PHOTON}, 'Introduction'")
@own_packages
def package(facts: Facts) -> Prediction:
    """Whether the package docker-rootless is version 20.10.14-1 or newer."""
    return _photon(facts) or Prediction(True, "a package docker-rootless is installed")


@rule("P7", source=f"{PHOTON}, 'Prerequisites'")
@needs_tool
def prerequisites(facts: Facts) -> Prediction:
    """`check` after the documented `tdnf install`, in the words of requirements.py."""
    missing = ", ".join(requirements.missing_requirements(facts)) or "nothing"
    return _photon(facts) or Prediction(requirements.check(facts), f"missing {missing}")


@rule("P7.storage", source=f"{PHOTON}, 'Prerequisites'")
@needs_engine
def without_fuse_overlayfs(facts: Facts) -> Prediction:
    """The storage driver that `docker info` names with only the documented packages, of which
    fuse-overlayfs is none, or how the start fails."""
    if found := _photon(facts):
        return found
    changed = assume(facts, {"fuse-overlayfs": "missing", "driver-directories": "none"})
    overlay = "mounts" if changed.overlay_in_userns else "does not mount"
    outcome = start(changed)
    return Prediction(storage_driver(changed) if outcome == "starts" else outcome,
                      f"no fuse-overlayfs, and overlay {overlay} in a user namespace")
