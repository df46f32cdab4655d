"""What was read off a guest.  Plain data: every rule and every trait is a function of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Binary:
    """An executable found on the guest.  ``mode`` is the permission bits (0o4755 …);
    ``capabilities`` the text of its file capabilities, empty for none."""

    path: str
    owner: int
    mode: int
    capabilities: str = ""
    package: str = ""

    @property
    def setuid_root(self) -> bool:
        return self.owner == 0 and bool(self.mode & 0o4000)

    @property
    def gains_privilege(self) -> bool:
        return self.setuid_root or bool(self.capabilities)


@dataclass(frozen=True)
class IdRange:
    """One line of /etc/subuid or /etc/subgid: ``count`` ids from ``start``."""

    start: int
    count: int


@dataclass(frozen=True)
class Facts:
    """Facts of one guest, as the test user would meet them."""

    kernel: str  # uname -r
    arch: str  # uname -m
    os_release: Mapping[str, str]
    systemd: int  # major version, 0 for none
    cgroup: str  # "v2", "v1" or "hybrid"
    delegated: tuple[str, ...]  # controllers of user@UID.service (v2), empty on v1
    user: str
    uid: int
    groups: tuple[str, ...]
    user_session: bool  # `systemctl --user show-environment` succeeds
    xdg_runtime_dir: str  # as the login session has it; "" for unset
    sysctls: Mapping[str, str | None]  # None: the knob does not exist
    subuid: tuple[IdRange, ...]
    subgid: tuple[IdRange, ...]
    binaries: Mapping[str, Binary | None]  # by name, searched in PATH plus the sbin directories
    modules: frozenset[str]  # loaded or built in
    modules_blocked: frozenset[str]  # `modprobe -n` would not load them
    iptables: str  # "nft", "legacy" or "" for none
    lsms: tuple[str, ...]
    overlay_in_userns: bool  # a trial mount in a user namespace worked
    fuse_device: bool  # /dev/fuse can be opened by the user
    packages: Mapping[str, str]  # name → version, those that matter here
    engine: str  # dockerd's version, its package's where it does not run; "" for none
    rootlesskit: str
    slirp4netns: str
    slirp4netns_netns_type: bool  # its --help names --netns-type (0.4.0 or newer)
    setuptool: str  # path of dockerd-rootless-setuptool.sh, "" for none
    setuptool_sha256: str
    setuptool_on_path: bool  # found in the login session's PATH
    rootful_socket_writable: bool  # /var/run/docker.sock writable by the user
    lingering: bool
    sh: str = ""  # the program that /bin/sh is; "" for unknown
    existing_driver_dirs: tuple[str, ...] = ()  # storage driver directories in the data root
    daemon_json: Mapping[str, Any] = field(default_factory=dict)  # ~/.config/docker/daemon.json
    ipv6: bool = True  # the loopback device has ::1
    client_beside_script: bool = True  # docker in the directory of dockerd-rootless.sh
    slice_controllers: tuple[str, ...] = ()  # of user-UID.slice (v2), where dockerd looks

    @property
    def subuid_count(self) -> int:
        return sum(r.count for r in self.subuid)

    @property
    def subgid_count(self) -> int:
        return sum(r.count for r in self.subgid)

    @property
    def engine_version(self) -> tuple[int, ...]:
        return version_tuple(self.engine)

    @property
    def twin(self) -> bool:
        """Whether the guest says that it only stands in for its distro."""
        return self.os_release.get("VARIANT_ID") == "twin"

    def binary(self, name: str) -> Binary | None:
        return self.binaries.get(name)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary; :meth:`from_json` reverses it."""
        data = dataclasses.asdict(self)
        data["modules"] = sorted(self.modules)
        data["modules_blocked"] = sorted(self.modules_blocked)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Facts:
        fields = dict(data)
        for name in ("delegated", "groups", "lsms", "existing_driver_dirs", "slice_controllers"):
            fields[name] = tuple(fields.get(name, ()))
        for name in ("modules", "modules_blocked"):
            fields[name] = frozenset(fields[name])
        for name in ("subuid", "subgid"):
            fields[name] = tuple(IdRange(**r) for r in fields[name])
        fields["binaries"] = {
            name: Binary(**b) if b else None for name, b in fields["binaries"].items()
        }
        return cls(**fields)


def version_tuple(text: str) -> tuple[int, ...]:
    """``"20.10.24+dfsg1"`` → ``(20, 10, 24)``; empty for no digits."""
    numbers: list[int] = []
    for part in text.split("."):
        digits = ""
        for char in part:
            if not char.isdigit():
                break
            digits += char
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
