"""Arch Linux, rolling: versions are not documented, so they cannot drift."""

from __future__ import annotations

from harness.distros.base import Distro, Hint
from harness.distros.common import PREPARED
from harness.distros.hints import (
    LOAD_IP_TABLES,
    LOAD_NF_TABLES,
    MANUAL,
    REMEDIES,
    ROOTFUL_OFF,
)

FUSE_OVERLAYFS = Hint(
    name="arch-fuse-overlayfs",
    trait="fuse-overlayfs",
    source=f"{MANUAL}, 'Distribution-specific hint', Arch Linux",
    commands=("pacman -S fuse-overlayfs",),
)
USERNS_CLONE = Hint(
    name="arch-userns-clone",
    trait="userns-clone",
    source=f"{MANUAL}, 'Distribution-specific hint', Arch Linux",
    commands=(
        'echo "kernel.unprivileged_userns_clone=1" >> /etc/sysctl.conf',
        "sysctl --system",
    ),
)

ROLLING = Distro(
    name="arch",
    release="rolling",
    title="Arch Linux",
    arches=("x86_64", "aarch64"),
    package_manager="pacman",
    engine_package="docker",
    # docker-rootless-extras, with the setup tool, comes from the AUR: a twin's repository has it,
    # and for the distro's own image a fix of the catalogue builds it.
    packages=("docker", "slirp4netns", "iptables", "docker-rootless-extras"),
    hints=(FUSE_OVERLAYFS, ROOTFUL_OFF, LOAD_IP_TABLES, LOAD_NF_TABLES),
    remedies=(*REMEDIES, USERNS_CLONE),
    traits={
        **PREPARED,
        # Arch builds its package shadow --with-fcaps.
        "newuidmap": "file capabilities",
        "newgidmap": "file capabilities",
        "cgroup": "v2",
        "userns-clone": "absent",
        "overlay-in-userns": "yes",
        "nf_tables-module": "loaded",
        "mandatory-access": "none",
    },
    twin={"userns-clone": "1"},
)

DISTROS = (ROLLING,)
