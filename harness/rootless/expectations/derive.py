"""What the engine chooses on a machine, derived from its facts: drivers and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.guest.facts import Facts
from harness.rootless.expectations.versions import engine_at_least, kernel_at_least
from harness.rootless.traits import as_documented, trait

PRIORITY_19 = ("btrfs", "zfs", "overlay2", "aufs", "overlay", "devicemapper", "vfs")
PRIORITY_20 = (
    "btrfs", "zfs", "overlay2", "fuse-overlayfs", "aufs", "overlay", "devicemapper", "vfs",
)  # fmt: skip
PRIORITY_23 = ("overlay2", "fuse-overlayfs", "btrfs", "zfs", "vfs")
SNAPSHOTTERS = ("overlayfs", "native")


def storage_priority(facts: Facts) -> tuple[str, ...]:
    if engine_at_least(facts, "29"):
        return SNAPSHOTTERS
    if engine_at_least(facts, "23"):
        return PRIORITY_23
    return PRIORITY_20 if engine_at_least(facts, "20.10") else PRIORITY_19


def storage_works(facts: Facts, driver: str) -> bool:
    """Whether the driver would start.  Those that depend on the file system below the data
    root (btrfs, zfs) count as not working: the facts do not tell."""
    if driver in ("overlay2", "overlayfs"):
        return facts.overlay_in_userns
    if driver == "fuse-overlayfs":
        # Without /dev/fuse it starts all the same, and no container does (measured: 20.10.24).
        present = facts.binary("fuse-overlayfs") is not None and kernel_at_least(facts, "4.18")
        return present and engine_at_least(facts, "20.10")
    return driver in ("vfs", "native")


def storage_driver(facts: Facts) -> str:
    """``docker info``'s storage driver; empty where the daemon refuses to start.

    A setting wins, then the driver that left data behind, then the first that works.  19.03 has no
    fuse-overlayfs, and sees none of its data; 29 takes it where it left data, and where it is asked
    for looks for a snapshotter of that name, which is a program of its own.
    """
    setting = str(facts.daemon_json.get("storage-driver", ""))
    if setting:
        snapshotter = setting == "fuse-overlayfs" and engine_at_least(facts, "29")
        return setting if storage_works(facts, setting) and not snapshotter else ""
    unseen = {"vfs", *SNAPSHOTTERS}
    if not engine_at_least(facts, "20.10"):
        unseen.add("fuse-overlayfs")
    prior = [name for name in facts.existing_driver_dirs if name not in unseen]
    if prior:  # two of them, and the daemon asks which
        return prior[0] if len(prior) == 1 and storage_works(facts, prior[0]) else ""
    return next((name for name in storage_priority(facts) if storage_works(facts, name)), "")


def declared(facts: Facts, documented: Mapping[str, str]) -> dict[str, str]:
    """The *documented* traits, with those that depend on what else the machine is.

    The data root has data of no storage driver before the first daemon, then of the one that takes
    an empty root (from 29 on it is elsewhere).  Debian's linux-sysctl-defaults, which normal
    installations have since 13, opens ping to every group (its release notes).
    """
    fresh = storage_driver(replace(as_documented(facts, documented), existing_driver_dirs=()))
    own = facts.existing_driver_dirs and fresh not in ("", *SNAPSHOTTERS)
    found = {**documented, "driver-directories": fresh if own else "none"}
    if "ping-group-range" in documented and "linux-sysctl-defaults" in facts.packages:
        found["ping-group-range"] = "0 2147483647"
    return found


def cgroup_driver(facts: Facts) -> str:
    """``docker info``'s cgroup driver; empty where the daemon refuses to start.

    Whether the *user* has a systemd session is not looked at.
    """
    if not engine_at_least(facts, "20.10"):
        return "none"
    possible = facts.cgroup == "v2" and facts.systemd > 0
    setting = trait("cgroup-driver-setting").probe(facts)
    if setting == "none" or (setting == "systemd" and not possible):
        return ""  # none is for the daemon alone to choose
    if setting == "cgroupfs":
        return "none"  # no error, and what a user's daemon cannot do
    if setting != "unset":
        return setting
    return "systemd" if possible else "none"


def limit(facts: Facts, controller: str) -> str:
    """What becomes of a limit: ``enforced``, ``ignored`` (exit 0 all the same), ``error`` (the
    controller is missing) or ``no container``."""
    if cgroup_driver(facts) != "systemd":
        return "ignored"
    if not facts.user_session:
        return "no container"  # nobody to ask for a scope
    if controller in facts.delegated:
        return "enforced"
    # Of what is not in the user's slice dockerd warns; what is there and goes no further fails.
    return "error" if controller == "cpu" or controller in facts.slice_controllers else "ignored"


def network_driver(facts: Facts) -> str:
    """RootlessKit's network driver; empty where there is none."""
    if facts.binary("slirp4netns") and facts.slirp4netns_netns_type:
        return "slirp4netns"
    if engine_at_least(facts, "28.5.2") and facts.binary("pasta"):
        return "pasta"
    if facts.binary("vpnkit"):
        return "vpnkit"
    return "gvisor-tap-vsock" if engine_at_least(facts, "29.5") else ""


def port_driver(facts: Facts) -> str:
    return "implicit" if network_driver(facts) == "pasta" else "builtin"


def port_boundary(facts: Facts) -> int:
    """The lowest port that users may bind; kernels before 4.11 have no knob."""
    return int(facts.sysctls.get("net.ipv4.ip_unprivileged_port_start") or 1024)


def may_bind(facts: Facts, port: int) -> bool:
    capabilities = trait("rootlesskit-capabilities").probe(facts).split()
    return port >= port_boundary(facts) or "cap_net_bind_service" in capabilities
