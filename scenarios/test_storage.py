"""Which storage driver the rootless daemon takes."""

from __future__ import annotations

import pytest

from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.rootless import attempt, engine, inducing, installing
from harness.rootless.attempt import Attempt
from harness.rootless.engine import IMAGE, Docker
from harness.rootless.expectations.storage import DISK, MOUNTED
from harness.rootless.inducers import CannotInduce
from harness.session.decide import Decider

pytestmark = [pytest.mark.storage]

LEFT_BEHIND = 'mkdir -p "$1/overlay2/layer" "$1/fuse-overlayfs/layer"'
LAYER = "tar -c -C /etc hostname | docker import - left"


def driver_of(docker: Docker) -> Result:
    return docker("info", "--format", "{{.Driver}}")


def begin(guest: Guest, root: str, *flags: str) -> Attempt:
    """A daemon by hand on the data root *root*, made where it is missing, that has no settings
    but its flags."""
    guest.user.sh('rm -f "$HOME/.config/docker/daemon.json" && mkdir -p "$1"', root)
    return attempt.begin(guest, "--data-root", root, *flags)


def data_root(guest: Guest) -> str:
    """The name of a data root on the disk of the usual one, not there yet."""
    return guest.user.sh('printf %s "$HOME/.local/share/docker-trial"').stdout


def container(guest: Guest, docker: Docker) -> Result:
    """Make an image and a container of it: only then does a driver mount anything."""
    layer = guest.user.sh(LAYER, env=docker.env, check=False)
    return docker("create", "left", "true", check=False) if layer.ok else layer


def asked_for(guest: Guest, docker: Docker, driver: str) -> tuple[str, str]:
    """What becomes of a daemon that is told to use *driver* on an empty data root, and of a
    container there."""
    tried = begin(guest, data_root(guest), "--storage-driver", driver)
    if tried.outcome != "starts":
        return tried.outcome, tried.evidence
    named = driver_of(docker)
    evidence = f"{tried.evidence}\n{named.transcript}"
    if named.stdout.strip() != driver:
        return f"starts: {named.stdout.strip()}", evidence
    made = container(guest, docker)
    outcome = "starts" if made.ok else "starts, no container"
    return outcome, f"{evidence}\n{made.transcript}"


@pytest.mark.claims("M11", "M11.root")
def test_driver(guest: Guest, docker: Docker, decide: Decider) -> None:
    """The driver of a daemon that was installed as documented is the first one that works, and
    mounts what a container has as its root."""
    named = driver_of(docker)
    decide("M11", named.stdout.strip(), named)
    decide("M11.root", *mounted(guest, docker))


def mounted(guest: Guest, docker: Docker) -> tuple[str, str]:
    """The type of a container's / (expectations.storage), or how none starts."""
    if not docker("image", "inspect", IMAGE, check=False).ok:
        docker.import_image()  # it was for another driver
    mounts = docker.run(IMAGE, "awk", '$2 == "/" { print $3 }', "/proc/mounts", check=False)
    kind = (mounts.stdout.split() or [f"exit {mounts.exit_status}"])[-1]
    if not mounts.ok or kind in MOUNTED.values():
        return kind, mounts.transcript
    directory = docker("info", "--format", "{{.DockerRootDir}}").stdout.strip()
    below = guest.user.run("findmnt", "-n", "-o", "FSTYPE", "-T", directory, check=False)
    kind = DISK if kind == below.stdout.strip() else kind
    return kind, f"{mounts.transcript}\n{below.transcript}"


def chosen(guest: Guest, docker: Docker) -> tuple[str, str]:
    """What a daemon with an empty data root and nothing to obey takes, or how it fails."""
    tried = begin(guest, data_root(guest))
    if tried.outcome != "starts":
        return tried.outcome, tried.evidence
    named = driver_of(docker)
    return named.stdout.strip(), named.transcript


@pytest.mark.claims("M11.fresh")
def test_fresh_data_root(guest: Guest, docker: Docker, decide: Decider) -> None:
    """A daemon with nothing to find and nothing to obey chooses by what the kernel can do."""
    decide("M11.fresh", *chosen(guest, docker))


@pytest.mark.claims("M11.without_fuse-overlayfs")
def test_without_fuse_overlayfs(guest: Guest, docker: Docker, decide: Decider) -> None:
    """Without its binary fuse-overlayfs is not chosen; where it would be, vfs is."""
    if guest.facts.binary("fuse-overlayfs"):
        installing.hide(guest.root, "fuse-overlayfs")
    decide("M11.without_fuse-overlayfs", *chosen(guest, docker))


@pytest.mark.nightly
@pytest.mark.claims("M11.without_fuse_device")
def test_without_fuse_device(guest: Guest, docker: Docker, decide: Decider) -> None:
    """What is chosen without /dev/fuse, and whether it can hold a container."""
    guest.root.sh("rm -f /dev/fuse")
    driver, evidence = chosen(guest, docker)
    made = container(guest, docker)
    observed = driver if made.ok else f"{driver}, no container"
    decide("M11.without_fuse_device", observed, f"{evidence}\n{made.transcript}")


@pytest.mark.state("prepared")
@pytest.mark.claims("M11.permit_mounts")
def test_permit_mounts(guest: Guest, docker: Docker, decide: Decider) -> None:
    """Debian's older kernels mount overlays for users when a parameter of the module says so."""
    try:
        induced = inducing.induce(guest, "overlay-in-userns", "yes")
    except CannotInduce as error:
        decide.not_applicable("M11.permit_mounts", error.what)
        return
    if not induced.done:
        decide.not_applicable("M11.permit_mounts", f"{induced}, without any parameter")
        return
    driver, evidence = chosen(guest, docker)
    decide("M11.permit_mounts", driver, f"{induced.done}\n{evidence}")


@pytest.mark.claims("M11.overlay2")
def test_overlay2_asked_for(guest: Guest, docker: Docker, decide: Decider) -> None:
    """overlay2 can be asked for where the kernel mounts overlays for users."""
    decide("M11.overlay2", *asked_for(guest, docker, "overlay2"))


@pytest.mark.claims("M11.fuse-overlayfs")
def test_fuse_overlayfs_asked_for(guest: Guest, docker: Docker, decide: Decider) -> None:
    """fuse-overlayfs can be asked for where its binary and /dev/fuse are there."""
    decide("M11.fuse-overlayfs", *asked_for(guest, docker, "fuse-overlayfs"))


@pytest.mark.claims("M11.vfs")
def test_vfs_asked_for(guest: Guest, docker: Docker, decide: Decider) -> None:
    """vfs can be asked for everywhere."""
    decide("M11.vfs", *asked_for(guest, docker, "vfs"))


@pytest.mark.nightly
@pytest.mark.claims("M11.two_left")
def test_data_of_two_drivers(guest: Guest, decide: Decider) -> None:
    """A daemon that finds the data of two drivers asks which of them is meant."""
    root = data_root(guest)
    guest.user.sh(LEFT_BEHIND, root)
    tried = begin(guest, root)
    decide("M11.two_left", tried.outcome, tried.evidence)


@pytest.mark.claims("M11.reused")
def test_driver_that_left_data(guest: Guest, docker: Docker, decide: Decider) -> None:
    """A daemon goes on with the driver whose data it finds, though it would choose another."""
    root = data_root(guest)
    before = begin(guest, root, "--storage-driver", "fuse-overlayfs")
    if before.outcome != "starts":
        decide.not_applicable("M11.reused", f"fuse-overlayfs leaves no data: {before.outcome}")
        return
    left = guest.user.sh(LAYER, env=docker.env, check=False)
    if not left.ok:
        decide("M11.reused", "fuse-overlayfs holds no layer", left)
        return
    engine.end_by_hand(guest)

    after = begin(guest, root)
    if after.outcome != "starts":
        decide("M11.reused", after.outcome, after.evidence)
        return
    named = driver_of(docker)
    decide("M11.reused", named.stdout.strip(), f"{left.transcript}\n{named.transcript}")
