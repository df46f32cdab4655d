"""VMware Photon OS."""

from __future__ import annotations

from harness.distros.base import Distro, Hint
from harness.distros.common import PREPARED
from harness.distros.hints import LOAD_IP_TABLES, REMEDIES, ROOTFUL_OFF

PAGE = "Photon OS, docker-rootless"

USER = "test_user"  # the page's user; a guest's own name goes in its place

PREREQUISITES = Hint(
    name="photon-packages",
    trait="slirp4netns",
    source=f"{PAGE}, 'Prerequisites'",
    commands=("tdnf install -y shadow fuse slirp4netns libslirp",),
)
SUBORDINATE_UIDS = Hint(
    name="photon-subuid",
    trait="subordinate-uids",
    source=f"{PAGE}, step 6a",
    commands=(f'echo "{USER}:100000:65536" >> /etc/subuid',),
    user=USER,
)
SUBORDINATE_GIDS = Hint(
    name="photon-subgid",
    trait="subordinate-gids",
    source=f"{PAGE}, step 6b",
    commands=(f'echo "{USER}:100000:65536" >> /etc/subgid',),
    user=USER,
)
USERNS_CLONE = Hint(
    name="photon-userns-clone",
    trait="userns-clone",
    source=f"{PAGE}, steps 6c to 6e",
    commands=(
        'echo "kernel.unprivileged_userns_clone = 1" >> /etc/sysctl.d/50-rootless.conf',
        "chmod 644 /etc/subuid /etc/subgid /etc/sysctl.d/50-rootless.conf",
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
    packages=("docker-rootless", "fuse-overlayfs", "iptables"),
    before=(PREREQUISITES,),
    hints=(SUBORDINATE_UIDS, SUBORDINATE_GIDS, USERNS_CLONE, ROOTFUL_OFF, LOAD_IP_TABLES),
    remedies=REMEDIES,
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
    twin={"engine": "20.10.5"},
)

DISTROS = (PHOTON_4,)
