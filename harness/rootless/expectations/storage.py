"""Storage drivers (M11)."""

from __future__ import annotations

from dataclasses import replace

from harness.guest.facts import Facts
from harness.rootless.expectations.derive import storage_driver, storage_priority
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.sources import MOBY
from harness.rootless.expectations.start import (
    needs_containers,
    needs_daemon,
    needs_engine,
    start,
)
from harness.rootless.traits import assume, trait

DISK = "the data root's"  # the type of a file system
MOUNTED = {
    "overlay2": "overlay",
    "overlayfs": "overlay",
    "fuse-overlayfs": "fuse.fuse-overlayfs",
}


def _because(facts: Facts) -> str:
    names = (
        "storage-driver-setting", "driver-directories", "overlay-in-userns", "fuse-overlayfs",
        "fuse-device", "kernel",
    )  # fmt: skip
    values = ", ".join(f"{name} {trait(name).probe(facts)}" for name in names)
    return f"engine {facts.engine} tries {' '.join(storage_priority(facts))}; {values}"


@rule("M11", source=f"{MOBY}, 'Restrictions'")
@needs_daemon
def driver(facts: Facts) -> Prediction:
    """`docker info --format {{.Driver}}`."""
    return Prediction(storage_driver(facts), _because(facts))


@rule("M11.root", source=f"{MOBY}, 'Restrictions'")
@needs_containers
def root(facts: Facts) -> Prediction:
    """The type of the file system that a container has as its /, by its own /proc/mounts: MOUNTED,
    or DISK where the driver copies."""
    return Prediction(MOUNTED.get(storage_driver(facts), DISK), _because(facts))


@rule("M11.fresh", source=f"{MOBY}, 'Restrictions'")
@needs_daemon
def fresh(facts: Facts) -> Prediction:
    """`docker info --format {{.Driver}}` of a daemon with an empty data root and no setting."""
    facts = assume(facts, {"driver-directories": "none", "storage-driver-setting": "unset"})
    return Prediction(storage_driver(facts), _because(facts))


def _with_setting(facts: Facts, name: str) -> Prediction:
    facts = assume(facts, {"driver-directories": "none", "storage-driver-setting": name})
    outcome = start(facts)
    if outcome == "starts" and name == "fuse-overlayfs" and not facts.fuse_device:
        outcome = "starts, no container"
    return Prediction(outcome, _because(facts))


@rule("M11.overlay2", source=f"{MOBY}, 'Restrictions'")
@needs_engine
def overlay2(facts: Facts) -> Prediction:
    """A daemon with an empty data root and ``--storage-driver overlay2``: ``starts``,
    ``starts, no container`` if none can be made then, or ``fails: `` and the reason of the log
    (``start.reason_in``)."""
    return _with_setting(facts, "overlay2")


@rule("M11.fuse-overlayfs", source=f"{MOBY}, 'Restrictions'")
@needs_engine
def fuse_overlayfs(facts: Facts) -> Prediction:
    """The same with ``--storage-driver fuse-overlayfs``."""
    return _with_setting(facts, "fuse-overlayfs")


@rule("M11.vfs", source=f"{MOBY}, 'Restrictions'")
@needs_engine
def vfs(facts: Facts) -> Prediction:
    """The same with ``--storage-driver vfs``."""
    return _with_setting(facts, "vfs")


@rule("M11.reused", source=f"{MOBY}, 'Restrictions'")
@needs_daemon
def reused(facts: Facts) -> Prediction:
    """`docker info`'s driver after a daemon with fuse-overlayfs left data, without a setting."""
    left = {"driver-directories": "fuse-overlayfs", "storage-driver-setting": "unset"}
    facts = assume(facts, left)
    found = storage_driver(facts)
    if found != "fuse-overlayfs":
        return not_applicable(f"fuse-overlayfs does not work here: {_because(facts)}")
    return Prediction(found, _because(facts))


@rule("M11.two_left", source=f"{MOBY}, 'Restrictions'")
@needs_engine
def two_left(facts: Facts) -> Prediction:
    """Starting a daemon without a setting on a data root with data of two drivers."""
    left = {"driver-directories": "fuse-overlayfs overlay2", "storage-driver-setting": "unset"}
    facts = assume(facts, left)
    return Prediction(start(facts), _because(facts))


def _chosen(facts: Facts, changes: dict[str, str]) -> Prediction:
    empty = {"driver-directories": "none", "storage-driver-setting": "unset"}
    facts = assume(facts, {**empty, **changes})
    return Prediction(storage_driver(facts) or start(facts), _because(facts))


@rule("M11.without_fuse-overlayfs", source=f"{MOBY}, 'Restrictions'")
@needs_daemon
def without_fuse_overlayfs(facts: Facts) -> Prediction:
    """`docker info`'s driver of a daemon with an empty data root and no setting, where no
    fuse-overlayfs is in PATH."""
    return _chosen(facts, {"fuse-overlayfs": "missing"})


@rule("M11.without_fuse_device", source=f"{MOBY}, 'Restrictions'")
@needs_daemon
def without_fuse_device(facts: Facts) -> Prediction:
    """The same where /dev/fuse does not exist, with ``, no container`` behind it if none can be
    made then."""
    found = _chosen(facts, {"fuse-device": "no"})
    useless = found.value == "fuse-overlayfs"
    return replace(found, value=f"{found.value}, no container") if useless else found


@rule("M11.permit_mounts", source=f"{MOBY}, 'Restrictions'")
@needs_daemon
def permit_mounts(facts: Facts) -> Prediction:
    """The same with the parameter permit_mounts_in_userns=1 that Debian's older kernels give to
    the module overlay."""
    return _chosen(facts, {"overlay-in-userns": "yes"})
