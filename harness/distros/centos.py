"""CentOS 7, out of support: its packages come from the vault."""

from __future__ import annotations

from harness.distros.base import Distro, Hint
from harness.distros.common import PREPARED
from harness.distros.hints import LOAD_IP_TABLES, MOBY, REMEDIES, ROOTFUL_OFF

VAULT = Hint(
    name="vault",
    trait="engine",
    source="CentOS, end of life: packages moved to vault.centos.org",
    commands=(
        "sed -i -e 's/^mirrorlist=/#mirrorlist=/' "
        "-e 's|^#\\? *baseurl=http://mirror.centos.org|baseurl=http://vault.centos.org|' "
        "/etc/yum.repos.d/CentOS-*.repo",
    ),
)
MAX_USER_NAMESPACES_19 = Hint(
    name="max-user-namespaces-19.03",
    trait="max-user-namespaces",
    source=f"{MOBY}, RHEL/CentOS 7",
    commands=('sh -c "echo 28633 > /proc/sys/user/max_user_namespaces"',),
)

CENTOS_7 = Distro(
    name="centos",
    release="7",
    title="CentOS 7.9",
    arches=("x86_64", "aarch64"),
    package_manager="yum",
    engine_package="docker-ce",
    packages=(
        "docker-ce",
        "docker-ce-rootless-extras",
        "slirp4netns",
        "fuse-overlayfs",
        "iptables",
        "shadow-utils",
    ),
    before=(VAULT,),
    hints=(MAX_USER_NAMESPACES_19, ROOTFUL_OFF, LOAD_IP_TABLES),
    remedies=REMEDIES,
    traits={
        **PREPARED,
        "kernel": "3.10",
        "systemd": "219",
        "engine": "26.1.4",
        "cgroup": "v1",
        "user-session": "no",
        "port-boundary": "absent",
        "userns-clone": "absent",
        "iptables": "legacy",
        "ip_tables-module": "loaded",
        "overlay-in-userns": "no",
        "mandatory-access": "selinux",
    },
    twin={
        "kernel": "5.10",
        "systemd": "247",
        "engine": "20.10.5",
        "port-boundary": "1024",
        "userns-clone": "1",
        "mandatory-access": "apparmor",
    },
)

DISTROS = (CENTOS_7,)
