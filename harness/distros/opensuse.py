"""openSUSE Leap and Tumbleweed."""

from __future__ import annotations

from harness.distros.base import Distro, Hint
from harness.distros.common import PREPARED
from harness.distros.hints import MOBY, REMEDIES, ROOTFUL_OFF

PACKAGES = (
    "docker",
    "docker-rootless-extras",
    "slirp4netns",
    "fuse-overlayfs",
    "shadow",
    "iptables",
)

MODULES = Hint(
    name="iptables-modules",
    trait="ip_tables-module",
    source=f"{MOBY}, openSUSE",
    commands=("modprobe ip_tables iptable_mangle iptable_nat iptable_filter",),
)

HINTS = (ROOTFUL_OFF, MODULES)

LEAP_15_6 = Distro(
    name="opensuse",
    release="leap-15.6",
    title="openSUSE Leap 15.6",
    arches=("x86_64", "aarch64"),
    package_manager="zypper",
    engine_package="docker",
    packages=PACKAGES,
    hints=HINTS,
    remedies=REMEDIES,
    traits={
        **PREPARED,
        "kernel": "6.4",
        "systemd": "254",
        "cgroup": "hybrid",
        "userns-clone": "absent",
        "overlay-in-userns": "yes",
        "mandatory-access": "apparmor",
    },
)
TUMBLEWEED = Distro(
    name="opensuse",
    release="tumbleweed",
    title="openSUSE Tumbleweed",
    arches=("x86_64", "aarch64"),
    package_manager="zypper",
    engine_package="docker",
    packages=PACKAGES,
    hints=HINTS,
    remedies=REMEDIES,
    traits={
        **PREPARED,
        "cgroup": "v2",
        "userns-clone": "absent",
        "overlay-in-userns": "yes",
        "mandatory-access": "selinux",
    },
)

DISTROS = (LEAP_15_6, TUMBLEWEED)
