"""From what the two probe scripts gathered to :class:`Facts`: pure, no guest needed."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from harness.guest.capabilities import xattr_text
from harness.guest.facts import Binary, Facts, IdRange

_PACKAGES = (
    "docker.io docker-ce docker-ce-cli docker-cli docker-ce-rootless-extras docker-rootless "
    "docker-rootless-extras docker docker-engine moby-engine containerd containerd.io runc "
    "rootlesskit slirp4netns libslirp libslirp0 uidmap shadow shadow-utils fuse fuse3 "
    "fuse-overlayfs dbus-user-session dbus iptables nftables systemd libpam-systemd "
    "linux-image* linux linux-lts linux-hardened kernel kernel-default kernel-core passt "
    "criu cloud-init lxc vpnkit podman buildah buildkit moby-buildkit apptainer apptainer-suid "
    "singularity-container lxd incus incus-base docker-buildx docker-buildx-plugin "
    "linux-sysctl-defaults"
)
PACKAGES = _PACKAGES.split()
_DRIVERS = "overlay2 vfs fuse-overlayfs btrfs zfs aufs overlay devicemapper native overlayfs"
DRIVERS = _DRIVERS.split()
LOOPBACK = f"{1:032x}"  # ::1 as /proc/net/if_inet6 has it
NEVER_LOADED = ("install /bin/false", "install /bin/true", "install /usr/bin/false")


def facts(user: str, login: Mapping[str, Any], root: Mapping[str, Any]) -> Facts:
    """``login`` and ``root`` are the JSON of ``probe_login.py`` and ``probe_root.py``."""
    commands = _Commands(root["commands"])
    owners = _owners(commands, root["spellings"])
    binaries = {name: _binary(raw, owners) for name, raw in root["binaries"].items()}
    packages = _packages(commands)
    on_v2 = bool(root["cgroup_v2"])
    return Facts(
        kernel=root["kernel"],
        arch=root["arch"],
        os_release=os_release(root["os_release"] or ""),
        systemd=_number(commands.good("systemctl")) if root["systemd_running"] else 0,
        cgroup="v2" if on_v2 else "hybrid" if root["cgroup_hybrid"] else "v1",
        delegated=tuple((root["controllers"] or "").split()) if on_v2 else (),
        slice_controllers=tuple((root["slice_controllers"] or "").split()) if on_v2 else (),
        user=user,
        uid=login["uid"],
        groups=tuple(login["groups"]),
        user_session=login["user_session"],
        xdg_runtime_dir=login["xdg_runtime_dir"],
        sysctls={k: None if v is None else " ".join(v.split()) for k, v in root["sysctls"].items()},
        subuid=id_ranges(root["subuid"] or "", user, login["uid"]),
        subgid=id_ranges(root["subgid"] or "", user, login["uid"]),
        binaries=binaries,
        modules=_modules(root),
        modules_blocked=_blocked(commands),
        iptables=_iptables(commands.good("iptables")),
        lsms=_lsms(root),
        overlay_in_userns=login["overlay_in_userns"],
        fuse_device=login["fuse_device"],
        ipv6=LOOPBACK in (root["if_inet6"] or ""),
        packages=packages,
        engine=_version(commands.good("dockerd")) or _packaged(binaries["dockerd"], packages),
        rootlesskit=_version(commands.good("rootlesskit")),
        slirp4netns=_version(commands.good("slirp4netns")),
        slirp4netns_netns_type="--netns-type" in commands.any("slirp4netns help"),
        setuptool=root["setuptool"],
        setuptool_sha256=root["setuptool_sha256"],
        setuptool_on_path=root["setuptool_on_path"],
        client_beside_script=root["client_beside_script"],
        rootful_socket_writable=login["rootful_socket_writable"],
        lingering=root["lingering"],
        sh=root["sh"].rpartition("/")[2],
        existing_driver_dirs=tuple(name for name in DRIVERS if name in root["data_root"]),
        daemon_json=daemon_json(root["daemon_json"]),
    )


class _Commands:
    """The outputs by name; a command that did not run gave nothing."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw

    def good(self, name: str) -> str:
        status, output = self.raw.get(name, (127, ""))
        return output if status == 0 else ""

    def any(self, name: str) -> str:
        return str(self.raw.get(name, (127, ""))[1])

    def first(self, prefix: str) -> tuple[str, str]:
        """The output of the one command of this family, and which package manager it was."""
        for name in self.raw:
            if name.startswith(prefix + " "):
                return name.removeprefix(prefix + " "), self.any(name)
        return "", ""


def os_release(text: str) -> dict[str, str]:
    fields = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            fields[key] = value.strip().strip("\"'")
    return fields


def id_ranges(text: str, user: str, uid: int) -> tuple[IdRange, ...]:
    """The user's lines of /etc/subuid, by name or number; malformed ones count for nothing."""
    ranges = []
    for line in text.splitlines():
        who, *numbers = line.strip().split(":")
        if who in (user, str(uid)) and len(numbers) == 2 and all(n.isdecimal() for n in numbers):
            ranges.append(IdRange(int(numbers[0]), int(numbers[1])))
    return tuple(ranges)


def daemon_json(text: str | None) -> dict[str, Any]:
    if not (text or "").strip():
        return {}
    try:
        data = json.loads(text or "")
    except ValueError as error:
        return {"__invalid__": str(error)}
    return data if isinstance(data, dict) else {"__invalid__": f"not an object: {data!r}"}


def _number(text: str) -> int:
    found = re.search(r"\d+", text)  # systemd 252 (252.39-1~deb12u1)
    return int(found.group()) if found else 0


def _version(text: str) -> str:
    found = re.search(r"version v?([^\s,]+)", text)  # Docker version 20.10.24+dfsg1, build 5d6d
    return found.group(1) if found else ""


def _packaged(binary: Binary | None, packages: Mapping[str, str]) -> str:
    """The version of what is installed but does not run: its package has 5:20.10.24+dfsg1-1+b3."""
    version = packages.get(binary.package, "") if binary else ""
    return re.sub(r"-[^-]*$", "", version.rpartition(":")[2])


def _iptables(text: str) -> str:
    """``iptables v1.8.9 (nf_tables)``; before 1.8 there was only legacy, and no bracket."""
    if not text:
        return ""
    return "nft" if "nf_tables" in text else "legacy"


def _modules(root: Mapping[str, Any]) -> frozenset[str]:
    loaded = {line.split()[0] for line in (root["modules"] or "").splitlines() if line.strip()}
    builtin = (root["modules_builtin"] or "").split()
    stems = {re.sub(r"\.ko.*$", "", path.rpartition("/")[2]) for path in builtin}
    every = loaded | stems | set(root["modules_sys"])
    return frozenset(name.replace("-", "_") for name in every)


def _blocked(commands: _Commands) -> frozenset[str]:
    """With no modprobe at all (127) nothing is known to be blocked."""
    names = set()
    for key, (status, output) in commands.raw.items():
        verb, _, name = key.partition(" ")
        if verb == "modprobe" and status != 127:
            lines = output.splitlines()
            if status or any(line.startswith(NEVER_LOADED) for line in lines):
                names.add(name)
    return frozenset(names)


def _lsms(root: Mapping[str, Any]) -> tuple[str, ...]:
    if root["lsm"]:
        return tuple(root["lsm"].strip().split(","))
    found = ["selinux"] if root["selinux"] else []  # kernels before 4.11 have no list
    if (root["apparmor"] or "").strip() == "Y":
        found.append("apparmor")
    return tuple(found)


def _packages(commands: _Commands) -> dict[str, str]:
    manager, output = commands.first("packages")
    versions = {}
    for line in output.splitlines():
        words = line.split()
        if manager == "dpkg" and words[:1] != ["ii"] and words[:1] != ["hi"]:
            continue
        if len(words) >= 2 and _wanted(words[-2]):
            versions[words[-2]] = words[-1]
    return versions


def _wanted(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in PACKAGES)


def _owners(commands: _Commands, spellings: Mapping[str, list[str]]) -> dict[str, str]:
    """From the path a binary was found at to the package that ships it."""
    manager, output = commands.first("owners")
    by_file = dict(_owner_lines(manager, output, list(spellings.values())))
    owners = {}
    for path, names in spellings.items():
        owners[path] = next((by_file[name] for name in names if name in by_file), "")
    return owners


def _owner_lines(manager: str, output: str, asked: list[list[str]]) -> Iterable[tuple[str, str]]:
    lines = output.splitlines()
    if manager == "rpm" and len(lines) == len(asked):  # one line a file, in the order asked
        for names, line in zip(asked, lines, strict=True):
            if " " not in line:
                yield names[0], line
    for line in lines:
        if manager == "dpkg":  # "uidmap: /usr/bin/newuidmap", "a, b:amd64: /path"
            found = re.fullmatch(r"([a-z0-9][^,: ]*)[^/]*: (/\S+)", line)
            if found and not line.startswith(("dpkg-query:", "diversion ")):
                yield found.group(2), found.group(1)
        elif manager == "pacman":  # "/usr/bin/newuidmap is owned by shadow 4.16.0-1"
            found = re.fullmatch(r"(/\S+) is owned by (\S+) \S+", line)
            if found:
                yield found.group(1), found.group(2)


def _binary(raw: Mapping[str, Any] | None, owners: Mapping[str, str]) -> Binary | None:
    if raw is None:
        return None
    capabilities = xattr_text(bytes.fromhex(raw["xattr"]))
    package = owners.get(raw["path"], "")
    return Binary(raw["path"], raw["owner"], raw["mode"], capabilities, package)
