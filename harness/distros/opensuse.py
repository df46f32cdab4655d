"""openSUSE Leap and Tumbleweed."""

from __future__ import annotations

from harness.distros.base import Distro, Hint
from harness.distros.common import PREPARED
from harness.distros.hints import MANUAL, MOBY, REMEDIES, ROOTFUL_OFF

PACKAGES = (
    "docker",
    "docker-rootless-extras",
    "slirp4netns",
    "shadow",
    "iptables",
)

FUSE_OVERLAYFS = Hint(
    name="opensuse-fuse-overlayfs",
    trait="fuse-overlayfs",
    source=f"{MANUAL}, 'Distribution-specific hint', openSUSE",
    commands=("zypper install -y fuse-overlayfs",),
)
MODULES = Hint(
    name="iptables-modules",
    trait="ip_tables-module",
    source=f"{MOBY}, openSUSE",
    commands=("modprobe ip_tables iptable_mangle iptable_nat iptable_filter",),
)

HINTS = (FUSE_OVERLAYFS, ROOTFUL_OFF, MODULES)

SHARED = {
    **PREPARED,
    "userns-clone": "absent",
    "overlay-in-userns": "yes",
}


def _opensuse(release: str, title: str, *, twin: dict[str, str], **traits: str) -> Distro:
    return Distro(
        name="opensuse",
        release=release,
        title=title,
        arches=("x86_64", "aarch64"),
        package_manager="zypper",
        engine_package="docker",
        packages=PACKAGES,
        hints=HINTS,
        remedies=REMEDIES,
        traits={**SHARED, **{name.replace("_", "-"): value for name, value in traits.items()}},
        twin={"userns-clone": "1", **twin},
    )


LEAP_15_6 = _opensuse(
    "leap-15.6",
    "openSUSE Leap 15.6",
    twin={"kernel": "6.1", "systemd": "252"},
    kernel="6.4",
    systemd="254",
    cgroup="hybrid",
    mandatory_access="apparmor",
)
TUMBLEWEED = _opensuse(
    "tumbleweed",
    "openSUSE Tumbleweed",
    twin={},
    cgroup="v2",
    mandatory_access="selinux",
)

DISTROS = (LEAP_15_6, TUMBLEWEED)
