"""What is to be expected of cells that nobody has booted: from documented traits alone."""

from __future__ import annotations

from harness.distros.base import Distro
from harness.guest.facts import Facts, IdRange
from harness.matrix import Cell
from harness.rootless.traits import as_documented

# What no trait says, as on a prepared guest.
_BLANK = Facts(
    kernel="", arch="", os_release={}, systemd=0, cgroup="v2", delegated=(), user="tester",
    uid=1000, groups=(), user_session=True, xdg_runtime_dir="/run/user/1000", sysctls={},
    subuid=(IdRange(100000, 65536),), subgid=(IdRange(100000, 65536),), binaries={},
    modules=frozenset(("overlay", "br_netfilter")), modules_blocked=frozenset(), iptables="",
    lsms=(), overlay_in_userns=True, fuse_device=True, packages={}, engine="", rootlesskit="",
    slirp4netns="", slirp4netns_netns_type=True, setuptool="", setuptool_sha256="",
    setuptool_on_path=False, rootful_socket_writable=False, lingering=False,
)  # fmt: skip


def facts_of(cell: Cell, distro: Distro) -> Facts:
    """The facts that a prepared guest of *cell* is documented to have."""
    facts = as_documented(_BLANK, distro.traits_of(cell))
    binaries = {**facts.binaries}
    for name in ("rootlesskit-docker-proxy", "slirp4netns", "newuidmap"):
        binaries.setdefault(name, facts.binary("rootlesskit"))
    packages = dict.fromkeys(distro.packages, "")
    return Facts(**{**vars(facts), "arch": cell.arch, "binaries": binaries, "packages": packages})
