"""Debian, with its own docker.io."""

from __future__ import annotations

from collections.abc import Mapping

from harness.distros.base import NO_RECIPE, Distro, Hint, Mode
from harness.distros.common import PREPARED
from harness.distros.hints import LOAD_IP_TABLES, REMEDIES, ROOTFUL_OFF

PACKAGES = (
    "uidmap",
    "dbus-user-session",
    "slirp4netns",
    "rootlesskit",
    "fuse-overlayfs",
    "iptables",
    "docker.io",
)

# By Depends and Recommends, on 11 and 12; from 13 on more.
NEEDS = {
    "docker.io": ("containerd", "iptables", "runc"),
    "rootlesskit": ("slirp4netns", "uidmap"),
}
NEEDS_13 = {**NEEDS, "docker.io": (*NEEDS["docker.io"], "dbus-user-session", "docker-cli")}

LAYOUT = Hint(
    name="layout",
    trait="setup-tool",
    source="the project's own repair, see docs/known-issues.md",
    commands=(
        "ln -s /usr/share/docker.io/contrib/dockerd-rootless.sh /usr/bin/dockerd-rootless.sh",
        "ln -s /usr/share/docker.io/contrib/dockerd-rootless-setuptool.sh "
        "/usr/bin/dockerd-rootless-setuptool.sh",
    ),
)

# No document's hint: it makes an older kernel mount overlayfs, with bugs of its own.
OVERLAY = Hint(
    name="overlay-permit",
    trait="overlay-in-userns",
    source="Debian's kernel patch of 5.10 and before: a parameter of the module",
    commands=("modprobe overlay permit_mounts_in_userns=1",),
)

HINTS = (ROOTFUL_OFF, LOAD_IP_TABLES, LAYOUT)

SHARED = {
    **PREPARED,
    "userns-clone": "1",
    "cgroup": "v2",
    "iptables": "nft",
    "mandatory-access": "apparmor",
    "helpers-package": "uidmap",
    "rootlessctl": "present",
    # The kernel's; open where linux-sysctl-defaults is installed (expectations/derive.py).
    "ping-group-range": "1 0",
}


# The kernel arguments are systemd's (systemd(1), "KERNEL COMMAND LINE").
# The second one because the first alone gives the hybrid hierarchy.
LEGACY = "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"
CGROUP_V1 = Mode(LEGACY, {"cgroup": "v1", "delegated-controllers": "none"})
CGROUP_V1_FORCED = Mode(f"{LEGACY} SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1", CGROUP_V1.traits)
CGROUP_V1_GONE = Mode(unsupported="systemd 258 and later have no cgroup v1 (its NEWS)")


def _debian(
    release: str,
    title: str,
    *,
    remedies: tuple[Hint, ...] = (),
    packages: tuple[str, ...] = PACKAGES,
    recipe: str = "",
    recipe_arches: tuple[str, ...] = (),
    cgroup_v1: Mode = CGROUP_V1,
    modules: tuple[str, ...] = ("ip_tables",),
    needs: Mapping[str, tuple[str, ...]] = NEEDS,
    **traits: str,
) -> Distro:
    return Distro(
        name="debian",
        release=release,
        title=title,
        arches=("x86_64", "aarch64"),
        package_manager="apt",
        engine_package="docker.io",
        packages=packages,
        recipe=recipe,
        recipe_arches=recipe_arches,
        hints=HINTS,
        remedies=(*REMEDIES, *remedies),
        traits={
            **SHARED,
            **{f"{name}-module": "loaded" for name in modules},
            **{name.replace("_", "-"): value for name, value in traits.items()},
        },
        modes={"cgroup-v1": cgroup_v1},
        needs=needs,
        unreachable=NO_RECIPE,
    )


DEBIAN_11 = _debian(
    "11",
    "Debian 11 (bullseye)",
    remedies=(OVERLAY,),
    recipe="debian-11",
    recipe_arches=("x86_64",),
    engine="20.10.5",
    setup_tool_version="20.10.5",
    kernel="5.10",
    systemd="247",
    rootlesskit_version="0.14.2",
    delegated_controllers="memory pids",
    overlay_in_userns="no",
)
DEBIAN_12 = _debian(
    "12",
    "Debian 12 (bookworm)",
    recipe="debian-12",
    recipe_arches=("x86_64", "aarch64"),
    engine="20.10.24",
    setup_tool_version="20.10.24",
    kernel="6.1",
    systemd="252",
    rootlesskit_version="1.1.0",
    delegated_controllers="cpu memory pids",
    overlay_in_userns="yes",
)
DEBIAN_13 = _debian(
    "13",
    "Debian 13 (trixie)",
    packages=(*PACKAGES, "docker-cli"),
    recipe="debian-13",
    recipe_arches=("x86_64", "aarch64"),
    cgroup_v1=CGROUP_V1_FORCED,
    needs=NEEDS_13,
    engine="26.1.5",
    setup_tool_version="26.1.5",
    kernel="6.12",
    systemd="257",
    rootlesskit_version="2.0.2",
    delegated_controllers="cpu memory pids",
    overlay_in_userns="yes",
)
DEBIAN_14 = _debian(
    "forky",
    "Debian 14 (forky), in development",
    packages=(*PACKAGES, "docker-cli"),
    recipe="debian-forky",
    recipe_arches=("x86_64",),
    cgroup_v1=CGROUP_V1_GONE,
    needs=NEEDS_13,
    modules=("ip_tables", "nf_tables"),  # the tool asks for the second one from 28.1 on
    engine="28.5.2",
    setup_tool_version="28.5.2",
    kernel="7.2",
    systemd="262",
    rootlesskit_version="2.0.2",
    delegated_controllers="cpu memory pids",
    overlay_in_userns="yes",
)

DISTROS = (DEBIAN_11, DEBIAN_12, DEBIAN_13, DEBIAN_14)
