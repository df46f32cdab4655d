"""Facts of machines that rules are tried on.  Debian 12's were read off a guest; the others are
what is documented of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.distros.registry import find
from harness.guest.facts import Binary, Facts, IdRange
from harness.rootless.traits import as_documented, assume
from harness.rootless.traits.tools import ENGINE_BINARIES

TOOL_SHA256 = "2c0860d55f05149006ba60ac9dd41f94e45f13465c4445f5027830a5cfdebd40"
PACKAGES = {
    "docker.io": "20.10.24+dfsg1-1+deb12u1+b6",
    "rootlesskit": "1.1.0-1+b4",
    "slirp4netns": "1.2.0-1",
    "uidmap": "1:4.13+dfsg1-1+deb12u2",
}


def _binaries() -> dict[str, Binary | None]:
    binaries: dict[str, Binary | None] = {}
    for name in (*ENGINE_BINARIES, "dockerd-rootless.sh"):
        binaries[name] = Binary(f"/usr/bin/{name}", 0, 0o755)
    for name in ("newuidmap", "newgidmap"):
        binaries[name] = Binary(f"/usr/bin/{name}", 0, 0o4755, package="uidmap")
    for name in ("dockerd", "iptables"):
        binaries[name] = Binary(f"/usr/sbin/{name}", 0, 0o755)
    return {**binaries, "vpnkit": None, "pasta": None, "lxc-user-nic": None}


@pytest.fixture
def debian_12() -> Facts:
    """As probed at the state `prepared`."""
    return Facts(
        kernel="6.1.0-50-cloud-amd64",
        arch="x86_64",
        os_release={"ID": "debian", "VERSION_ID": "12"},
        systemd=252,
        cgroup="v2",
        delegated=("cpu", "memory", "pids"),
        slice_controllers=("cpu", "memory", "pids"),
        user="tester",
        uid=1000,
        groups=("tester",),
        user_session=True,
        xdg_runtime_dir="/run/user/1000",
        sysctls={
            "kernel.unprivileged_userns_clone": "1",
            "user.max_user_namespaces": "7818",
            "net.ipv4.ip_unprivileged_port_start": "1024",
            "net.ipv4.ping_group_range": "1 0",
            "kernel.apparmor_restrict_unprivileged_userns": None,
        },
        subuid=(IdRange(100000, 65536),),
        subgid=(IdRange(100000, 65536),),
        binaries=_binaries(),
        modules=frozenset(("ip_tables", "nf_tables", "overlay", "br_netfilter", "tun")),
        modules_blocked=frozenset(),
        iptables="nft",
        lsms=("lockdown", "capability", "landlock", "yama", "apparmor", "tomoyo", "bpf"),
        overlay_in_userns=True,
        fuse_device=True,
        packages=PACKAGES,
        engine="20.10.24+dfsg1",
        rootlesskit="1.1.0",
        slirp4netns="1.2.0",
        slirp4netns_netns_type=True,
        setuptool="/usr/bin/dockerd-rootless-setuptool.sh",
        setuptool_sha256=TOOL_SHA256,
        setuptool_on_path=True,
        rootful_socket_writable=False,
        lingering=False,
    )


def _as(facts: Facts, name: str, release: str) -> Facts:
    """The machine with everything that another distro is documented to have."""
    other = replace(facts, setuptool_sha256="")
    return as_documented(other, find(name, release).traits)


@pytest.fixture
def debian_11(debian_12: Facts) -> Facts:
    return _as(debian_12, "debian", "11")


@pytest.fixture
def debian_13(debian_12: Facts) -> Facts:
    return _as(debian_12, "debian", "13")


@pytest.fixture
def debian_14(debian_12: Facts) -> Facts:
    return _as(debian_12, "debian", "forky")


@pytest.fixture
def photon_4(debian_12: Facts) -> Facts:
    packages = {"docker-rootless": "24.0.9-1.ph4", "shadow": "4.13-1.ph4"}
    return replace(_as(debian_12, "photon", "4"), packages=packages)


@pytest.fixture
def centos_7(debian_12: Facts) -> Facts:
    return replace(_as(debian_12, "centos", "7"), packages={"shadow-utils": "4.6-5.el7"})


@pytest.fixture
def arch_rolling(debian_12: Facts) -> Facts:
    """No installer that the setup tool would know."""
    missing = dict.fromkeys(("apt-get", "dnf", "yum"))
    facts = _as(debian_12, "arch", "rolling")
    return replace(facts, binaries={**facts.binaries, **missing})


@pytest.fixture
def suite_layout(debian_12: Facts) -> Facts:
    """Debian 12 before the repair of the layout."""
    return assume(debian_12, {"setup-tool": "off PATH", "docker-client": "missing"})


@pytest.fixture
def docker_19_03(debian_12: Facts) -> Facts:
    facts = replace(debian_12, setuptool_sha256="")
    return assume(facts, {"engine": "19.03.15", "setup-tool": "missing"})


@pytest.fixture
def newest(debian_14: Facts) -> Facts:
    return assume(debian_14, {"engine": "29.5.0"})
