"""Hints that several distros share."""

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
    default=False,
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
    default=False,
)


def subordinate_ids(user: str) -> tuple[Hint, Hint]:
    """The setup tool's lines for a user that has none.  The range is always the same one, and
    may overlap another user's."""
    return (
        Hint("subuid", "subordinate-uids", SETUP_TOOL,
             (f'echo "{user}:100000:65536" >> /etc/subuid',), default=False),
        Hint("subgid", "subordinate-gids", SETUP_TOOL,
             (f'echo "{user}:100000:65536" >> /etc/subgid',), default=False),
    )  # fmt: skip


PRIVILEGED_PORTS_SYSCTL = Hint(
    name="privileged-ports-sysctl",
    trait="port-boundary",
    source=f"{MANUAL}, 'Exposing privileged ports'",
    commands=(
        'echo "net.ipv4.ip_unprivileged_port_start=0" >> /etc/sysctl.conf',
        "sysctl --system",
    ),
    default=False,
)

PRIVILEGED_PORTS_CAPABILITY = Hint(
    name="privileged-ports-capability",
    trait="rootlesskit-capabilities",
    source=f"{MANUAL}, 'Exposing privileged ports'",
    commands=("setcap cap_net_bind_service=ep $(which rootlesskit)",),
    default=False,
)

PING = Hint(
    name="ping",
    trait="ping-group-range",
    source=f"{MANUAL}, 'Routing ping packets'",
    commands=(
        'echo "net.ipv4.ping_group_range = 0 2147483647" >> /etc/sysctl.conf',
        "sysctl --system",
    ),
    default=False,
)

ANYWHERE = (
    USERNS_CLONE,
    MAX_USER_NAMESPACES,
    PRIVILEGED_PORTS_SYSCTL,
    PRIVILEGED_PORTS_CAPABILITY,
    PING,
)
