"""VMware Photon OS."""

from __future__ import annotations

from harness.distros.base import Distro, Hint
from harness.distros.common import PREPARED
from harness.distros.hints import ANYWHERE, LOAD_IP_TABLES, ROOTFUL_OFF, subordinate_ids

PAGE = "Photon OS, docker-rootless"

USERNS_CLONE = Hint(
    name="photon-userns-clone",
    trait="userns-clone",
    source=f"{PAGE}, 'Prerequisites'",
    commands=(
        'echo "kernel.unprivileged_userns_clone = 1" >> /etc/sysctl.d/50-rootless.conf',
        "sysctl --system",
    ),
)

PHOTON_4 = Distro(
    name="photon",
    release="4",
    title="Photon OS 4.0",
    arches=("x86_64", "aarch64"),
    package_manager="tdnf",
    engine_package="docker-rootless",
    packages=(
        "shadow",
        "fuse",
        "slirp4netns",
        "libslirp",
        "docker-rootless",
        "fuse-overlayfs",
        "iptables",
    ),
    hints=(
        USERNS_CLONE,
        *subordinate_ids("$USER"),
        ROOTFUL_OFF,
        LOAD_IP_TABLES,
        *ANYWHERE,
    ),
    traits={
        **PREPARED,
        "kernel": "5.10",
        "systemd": "247",
        "engine": "24.0.9",
        "cgroup": "v1",
        "userns-clone": "1",
        "iptables": "legacy",
        "ip_tables-module": "loaded",
        "overlay-in-userns": "no",
        "mandatory-access": "apparmor",
    },
)

DISTROS = (PHOTON_4,)
