"""Ubuntu, with the packages of the Docker manual, which are in Docker's own archive."""

from __future__ import annotations

from harness.distros.base import Distro, Hint
from harness.distros.common import PREPARED
from harness.distros.hints import LOAD_IP_TABLES, MANUAL, REMEDIES, ROOTFUL_OFF

USER = "testuser"  # the manual's user; a guest's own name goes in its place

# Not on the way to `prepared`: Ubuntu has such a profile for /usr/bin/rootlesskit from the start.
# It is for one that was installed into the user's home.
ROOTLESSKIT_PROFILE = Hint(
    name="apparmor-rootlesskit",
    trait="apparmor-userns",
    source=f"{MANUAL}, 'Distribution-specific hint', Ubuntu",
    commands=(
        # The first line is ours: the manual's $HOME is the user's, and commands are root's.
        f"HOME=/home/{USER}\n"
        "filename=$(echo $HOME/bin/rootlesskit | sed -e 's@^/@@' -e 's@/@.@g')\n"
        '[ ! -z "${filename}" ] && cat <<EOF > /etc/apparmor.d/${filename}\n'
        "abi <abi/4.0>,\n"
        "include <tunables/global>\n"
        "\n"
        '"$HOME/bin/rootlesskit" flags=(unconfined) {\n'
        "  userns,\n"
        "\n"
        "  include if exists <local/${filename}>\n"
        "}\n"
        "EOF",
        "systemctl restart apparmor.service",
    ),
    user=USER,
)

# `engine` is missing, as Docker's archive has a new one every month.
UBUNTU_24_04 = Distro(
    name="ubuntu",
    release="24.04",
    title="Ubuntu 24.04",
    arches=("x86_64", "aarch64"),
    package_manager="apt",
    engine_package="docker-ce",
    packages=(
        "docker-ce",
        "docker-ce-rootless-extras",
        "uidmap",
        "dbus-user-session",
        "slirp4netns",
        "fuse-overlayfs",
        "iptables",
    ),
    hints=(ROOTFUL_OFF, LOAD_IP_TABLES),
    remedies=(*REMEDIES, ROOTLESSKIT_PROFILE),
    traits={
        **PREPARED,
        "kernel": "6.8",
        "systemd": "255",
        "cgroup": "v2",
        "delegated-controllers": "cpu memory pids",
        "userns-clone": "1",
        "apparmor-userns": "1",
        "iptables": "nft",
        "ip_tables-module": "loaded",
        "overlay-in-userns": "yes",
        "mandatory-access": "apparmor",
    },
    # The switch is a patch of Ubuntu's kernel; its twin has a profile, for programs in homes.
    twin={"kernel": "6.12", "systemd": "257", "apparmor-userns": "absent", "engine": "26.1.5"},
)

DISTROS = (UBUNTU_24_04,)
