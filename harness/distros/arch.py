"""Arch Linux, rolling: versions are not documented, so they cannot drift."""

from __future__ import annotations

from harness.distros.base import Distro, Hint
from harness.distros.common import PREPARED
from harness.distros.hints import ANYWHERE, LOAD_IP_TABLES, MOBY, ROOTFUL_OFF

USERNS_CLONE_19 = Hint(
    name="userns-clone-19.03",
    trait="userns-clone",
    source=f"{MOBY}, Arch Linux",
    commands=(
        "sh -c 'echo kernel.unprivileged_userns_clone=1 >> /etc/sysctl.conf'",
        "sysctl --system",
    ),
    default=False,
)

ROLLING = Distro(
    name="arch",
    release="rolling",
    title="Arch Linux",
    arches=("x86_64", "aarch64"),
    package_manager="pacman",
    engine_package="docker",
    # docker-rootless-extras, with the setup tool, comes from the AUR.
    packages=("docker", "slirp4netns", "fuse-overlayfs", "iptables"),
    hints=(ROOTFUL_OFF, LOAD_IP_TABLES, *ANYWHERE, USERNS_CLONE_19),
    traits={
        **PREPARED,
        "cgroup": "v2",
        "userns-clone": "absent",
        "overlay-in-userns": "yes",
        "mandatory-access": "none",
    },
)

DISTROS = (ROLLING,)
