"""Hints and remedies that several distros share."""

from __future__ import annotations

from harness.distros.base import Hint

SETUP_TOOL = "dockerd-rootless-setuptool.sh"
MANUAL = "Docker manual, rootless mode"
MOBY = "moby 19.03, docs/rootless.md, 'Distribution-specific hint'"

ROOTFUL_OFF = Hint(
    name="rootful-off",
    trait="rootful-socket",
    source=f"{MANUAL}, 'Install'",
    commands=("systemctl disable --now docker.service docker.socket",),
)
LOAD_IP_TABLES = Hint(
    name="load-ip_tables",
    trait="ip_tables-module",
    source=SETUP_TOOL,
    commands=("modprobe ip_tables",),
)
LOAD_NF_TABLES = Hint(  # what the tool asks for from 28.1 on, where iptables is not legacy
    name="load-nf_tables",
    trait="nf_tables-module",
    source=SETUP_TOOL,
    commands=("modprobe nf_tables",),
)

# Stopping the socket unit leaves the socket behind.
ROOTFUL_SOCKET = Hint(
    name="rootful-socket",
    trait="rootful-socket",
    source=f"{MANUAL}, 'Install'",
    commands=("rm /var/run/docker.sock",),
)
USERNS_CLONE = Hint(
    name="userns-clone",
    trait="userns-clone",
    source=SETUP_TOOL,
    commands=(
        "cat <<EOT > /etc/sysctl.d/50-rootless.conf\n"
        "kernel.unprivileged_userns_clone = 1\n"
        "EOT",
        "sysctl --system",
    ),
)
USERNS_CLONE_19 = Hint(
    name="userns-clone-19.03",
    trait="userns-clone",
    source=f"{MOBY}, Debian and Arch Linux",
    commands=('sh -c "echo 1 > /proc/sys/kernel/unprivileged_userns_clone"',),
)
MAX_USER_NAMESPACES = Hint(
    name="max-user-namespaces",
    trait="max-user-namespaces",
    source=SETUP_TOOL,
    commands=(
        "cat <<EOT > /etc/sysctl.d/51-rootless.conf\n"
        "user.max_user_namespaces = 28633\n"
        "EOT",
        "sysctl --system",
    ),
)
PORTS_SYSCTL = Hint(
    name="ports-sysctl",
    trait="port-boundary",
    source=f"{MANUAL}, 'Exposing privileged ports'",
    commands=(
        'echo "net.ipv4.ip_unprivileged_port_start=0" >> /etc/sysctl.conf',
        "sysctl --system",
    ),
)
PORTS_CAPABILITY = Hint(  # and `systemctl --user restart docker`, which is the user's
    name="ports-capability",
    trait="rootlesskit-capabilities",
    source=f"{MANUAL}, 'Exposing privileged ports'",
    commands=("setcap cap_net_bind_service=ep $(which rootlesskit)",),
)
PING = Hint(
    name="ping",
    trait="ping-group-range",
    source=f"{MANUAL}, 'Routing ping packets'",
    commands=(
        'echo "net.ipv4.ping_group_range = 0   2147483647" >> /etc/sysctl.conf',
        "sysctl --system",
    ),
)
PING_19 = Hint(
    name="ping-19.03",
    trait="ping-group-range",
    source="moby 19.03, docs/rootless.md, 'Routing ping packets'",
    commands=('sh -c "echo 0   2147483647  > /proc/sys/net/ipv4/ping_group_range"',),
)
DELEGATE = Hint(  # takes effect at the user's next login
    name="delegate",
    trait="delegated-controllers",
    source=f"{MANUAL}, 'Limiting resources'",
    commands=(
        "mkdir -p /etc/systemd/system/user@.service.d",
        "cat <<EOT > /etc/systemd/system/user@.service.d/delegate.conf\n"
        "[Service]\n"
        "Delegate=cpu cpuset io memory pids\n"
        "EOT",
        "systemctl daemon-reload",
    ),
)

REMEDIES = (
    ROOTFUL_SOCKET,
    USERNS_CLONE,
    USERNS_CLONE_19,
    MAX_USER_NAMESPACES,
    PORTS_SYSCTL,
    PORTS_CAPABILITY,
    PING,
    PING_19,
    DELEGATE,
)
