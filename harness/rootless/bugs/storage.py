"""Storage drivers: overlayfs before kernels mounted it for users."""

from __future__ import annotations

import json

from harness.guest.facts import Facts
from harness.rootless.bugs import acts
from harness.rootless.bugs.layers import File, load
from harness.rootless.bugs.model import Bug, Case, add
from harness.rootless.expectations.versions import kernel_at_least
from harness.rootless.inducers import CannotInduce

PARAMETER = "/sys/module/overlay/parameters/permit_mounts_in_userns"
LOADED = "^Loaded image"

# A directory that the second layer replaces, and files that it removes.
LAYERS = (
    (File("replaced/"), File("replaced/old"), File("thinned/"), File("thinned/one"),
     File("thinned/two"), File("removed")),
    (File("replaced/"), File("replaced/.wh..wh..opq"), File("replaced/new"), File("thinned/"),
     File("thinned/.wh.one"), File(".wh.removed")),
)  # fmt: skip


def mounts_for_users(facts: Facts) -> str:
    if kernel_at_least(facts, "5.11"):
        return f"kernel {facts.kernel} mounts overlayfs for users by itself, since 5.11"
    return ""


def _overlay_in_userns(facts: Facts) -> str:
    if facts.overlay_in_userns:
        return f"overlayfs mounts in a user namespace, kernel {facts.kernel}"
    return ""


def _no_overlay_in_userns(facts: Facts) -> str:
    if facts.overlay_in_userns:
        return ""
    return f"overlayfs does not mount in a user namespace, kernel {facts.kernel}"


def _set_driver(case: Case, driver: str) -> None:
    text = json.dumps({"storage-driver": driver})
    case.guest.user.write(".config/docker/daemon.json", text)


def _permit(case: Case) -> str:
    acts.unload(case, "overlay")
    did = acts.root(case, "modprobe overlay permit_mounts_in_userns=1").transcript
    permitted = acts.root(case, 'cat "$1"', PARAMETER, check=False)
    if not permitted.ok and not mounts_for_users(case.facts):
        kernel = case.facts.kernel
        raise CannotInduce(f"overlayfs of kernel {kernel} has no permit_mounts_in_userns")
    _set_driver(case, "overlay2")
    return f"{did}\n{permitted.transcript}"


def _use_fuse(case: Case) -> str:
    _set_driver(case, "fuse-overlayfs")
    return '{"storage-driver": "fuse-overlayfs"}'


def _start_and_load(case: Case) -> str:
    started = acts.start()(case)
    return f"{started}\n{load(case, 'whiteouts', *LAYERS)}"


def _permit_for_overlay2(case: Case) -> str:
    acts.unload(case, "overlay")
    return case.remedy("overlay-in-userns")


add(Bug(
    name="overlay-whiteouts",
    tracker="moby 42302",
    url="https://github.com/moby/moby/issues/42302",
    seen_on="Debian 10",
    summary="a layer that removes files cannot be registered",
    cause="Debian's kernels before 5.11 mount overlayfs in a user namespace when told to, but "
          "without extended attributes that a user may set",
    trait="modprobe overlay permit_mounts_in_userns=1, and storage driver overlay2",
    induce=_permit,
    attempt=_start_and_load,
    symptom=r"(ApplyLayer|Error processing tar file).*input/output error",
    healthy=LOADED,
    cure=_use_fuse,
    cured_by="storage driver fuse-overlayfs",
    fixed=mounts_for_users,
))  # fmt: skip

add(Bug(
    name="overlay2-refused",
    tracker="rootlesskit 269",
    url="https://github.com/rootless-containers/rootlesskit/issues/269",
    seen_on="not said",
    summary="the daemon does not start with --storage-driver=overlay2",
    cause="kernels before 5.11 do not mount overlayfs in a user namespace",
    trait="a kernel without overlayfs for users",
    attempt=acts.start("--storage-driver=overlay2"),
    symptom=r"failed to mount overlay: operation not permitted",
    healthy=acts.STARTED,
    cure=_permit_for_overlay2,
    cured_by="the distro's remedy for overlay-in-userns",
    native=_no_overlay_in_userns,
    fixed=_overlay_in_userns,
))  # fmt: skip
