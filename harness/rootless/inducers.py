"""The means by which a trait is induced: what root does in the guest, for each trait."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import GuestRefusal
from harness.guest.guest import CMDLINE_FILE, Guest
from harness.rootless import installing, setuptool
from harness.rootless.traits import trait
from harness.rootless.traits.system import LIMIT_CONTROLLERS

SBIN = "PATH=$PATH:/usr/sbin:/sbin; "


class CannotInduce(GuestRefusal):
    """The guest cannot have the value: the knob does not exist, say."""


Act = Callable[[Guest, str], str]


@dataclass(frozen=True)
class Inducer:
    """``act`` makes the guest have one of ``values`` (any, where there are none) and returns
    its transcript.  ``pattern``: what a value looks like, where ``values`` only describe them.
    ``relogin``: only a fresh login shows it."""

    act: Act
    values: tuple[str, ...] = ()
    pattern: str = ""
    relogin: bool = False

    def takes(self, value: str) -> bool:
        """Whether *value* can be asked for; a guest may still not have it."""
        if self.pattern:
            return re.fullmatch(self.pattern, value) is not None
        return not self.values or value in self.values


def _do(guest: Guest, script: str, *words: str) -> str:
    """Run *script* as root; a failure is the guest's no."""
    result = guest.root.sh(SBIN + script, *words, check=False, timeout=60)
    if not result.ok:
        raise CannotInduce(result.stderr.strip() or f"exit {result.exit_status}",
                           detail=result.transcript)  # fmt: skip
    return result.transcript


def _sysctl(knob: str, translate: dict[str, str] | None = None) -> Act:
    def act(guest: Guest, value: str) -> str:
        if guest.facts.sysctls.get(knob) is None:
            raise CannotInduce(f"{knob} does not exist on kernel {guest.facts.kernel}")
        return _do(guest, 'sysctl -w "$1=$2"', knob, (translate or {}).get(value, value))

    return act


def _module(name: str) -> Act:
    line = f"install {name} /bin/false"
    conf = f"/etc/modprobe.d/induced-{name}.conf"

    def act(guest: Guest, value: str) -> str:
        if value == "blocked":
            # Loaded modules are not asked for, so it goes as well.
            return _do(guest, 'echo "$2" > "$3"; modprobe -r "$1"', name, line, conf)
        if value == "available":
            return _do(guest, 'rm -f "$2"; modprobe -r "$1"', name, conf)
        return _do(guest, 'rm -f "$2"; modprobe "$1"', name, conf)

    return act


def _away(guest: Guest, name: str, installed: bool) -> str:
    if not installed:
        raise CannotInduce(f"{name} is not installed")
    return f"{installing.hide(guest.root, name)} hidden"


def _back(guest: Guest, name: str) -> str:
    installing.show(guest.root, name)
    return f"{name} shown again"


def _program(name: str) -> Act:
    def act(guest: Guest, value: str) -> str:
        if value == "missing":
            return _away(guest, name, guest.facts.binary(name) is not None)
        return _back(guest, name)

    return act


def _helper(name: str) -> Act:
    modes = {"setuid root": 'setcap -r "$1" 2>/dev/null; chown root "$1" && chmod u+s "$1"',
             "powerless": 'setcap -r "$1" 2>/dev/null; chmod u-s "$1"',
             "file capabilities": 'chmod u-s "$1" && setcap "$2+ep" "$1"'}  # fmt: skip
    capability = {"newuidmap": "cap_setuid", "newgidmap": "cap_setgid"}[name]

    def act(guest: Guest, value: str) -> str:
        if value == "missing":
            return _program(name)(guest, value)
        installing.show(guest.root, name)
        binary = guest.probe().binary(name)
        if binary is None:
            raise CannotInduce(f"{name} is not installed")
        return _do(guest, modes[value], binary.path, capability)

    return act


def _ids(path: str) -> Act:
    def act(guest: Guest, value: str) -> str:
        user = guest.access.user
        script = 'sed -i "/^$2:/d" "$1"'
        if value != "none":
            script += '; echo "$2:100000:$3" >> "$1"'
        return _do(guest, script, path, user, value)

    return act


def _iptables(guest: Guest, value: str) -> str:
    if value == "none":
        return _program("iptables")(guest, "missing")
    installing.show(guest.root, "iptables")
    return _do(
        guest,
        'for tool in iptables ip6tables; do update-alternatives --set $tool /usr/sbin/$tool-"$1"'
        " || exit; done", value,
    )  # fmt: skip


def _rootlesskit_capabilities(guest: Guest, value: str) -> str:
    kit = guest.facts.binary("rootlesskit")
    if kit is None:
        raise CannotInduce("rootlesskit is not installed")
    if value == "none":
        return _do(guest, 'setcap -r "$1"', kit.path)
    return _do(guest, 'setcap "$2=ep" "$1"', kit.path, ",".join(value.split()))


def _user_session(guest: Guest, value: str) -> str:
    unit = f"user@{guest.facts.uid}.service"
    if value == "no":
        return _do(guest, 'systemctl mask --now "$1" 2>&1', unit)
    return _do(guest, 'systemctl unmask "$1" 2>&1', unit)


def _controllers(guest: Guest, value: str) -> str:
    if guest.facts.cgroup != "v2":
        raise CannotInduce(f"nothing is delegated with cgroup {guest.facts.cgroup}")
    wanted = "" if value == "none" else value
    # systemd's accounting gives these to every unit, delegated or not.
    refused = [name for name in ("memory", "pids") if name not in wanted.split()]
    said = _refuse(guest, f"user-{guest.facts.uid}.slice", refused)
    return said + _do(
        guest,
        'd=/etc/systemd/system/user@.service.d; mkdir -p $d; '
        'printf "[Service]\\nDelegate=\\nDelegate=%s\\n" "$1" > $d/delegate.conf; '
        'systemctl daemon-reload', wanted,
    )  # fmt: skip


def _refuse(guest: Guest, unit: str, controllers: list[str]) -> str:
    """Have systemd give what is in the slice *unit* none of these *controllers*."""
    return _do(
        guest,
        'd="/etc/systemd/system/$1.d"; mkdir -p "$d"; '
        'printf "[Slice]\\nDisableControllers=%s\\n" "$2" > "$d/controllers.conf"',
        unit, " ".join(controllers),
    )  # fmt: skip


def _slice_controllers(guest: Guest, value: str) -> str:
    if guest.facts.cgroup != "v2":
        raise CannotInduce(f"no slice has controllers with cgroup {guest.facts.cgroup}")
    refused = [name for name in LIMIT_CONTROLLERS if name not in value.split()]
    said = _refuse(guest, "user.slice", refused)
    # What a manager has given to its own units cannot be taken from the slice above it.
    return said + _do(guest, 'systemctl daemon-reload && systemctl stop "user@*.service"')


def _linger(guest: Guest, value: str) -> str:
    verb = "enable-linger" if value == "yes" else "disable-linger"
    return _do(guest, 'loginctl "$1" "$2"', verb, guest.access.user)


def _fuse_device(guest: Guest, value: str) -> str:
    return _do(guest, 'chmod "$1" /dev/fuse', "0666" if value == "yes" else "0600")


def _cgroup(guest: Guest, value: str) -> str:
    """A reboot: the hierarchy is mounted once."""
    if not guest.takes_cmdline:
        raise CannotInduce("the kernel's arguments are in the boot loader of the guest's own disk")
    unified = "systemd.unified_cgroup_hierarchy"
    forced = "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
    legacy = "systemd.legacy_systemd_cgroup_controller"
    own = {"v2": f"{unified}=1", "hybrid": f"{unified}=0 {forced}",
           "v1": f"{unified}=0 {legacy}=1 {forced}"}[value]  # fmt: skip
    words = [
        word for word in guest.machine.spec.cmdline.split()
        if word.split("=")[0] not in (unified, legacy, forced.split("=")[0])
    ]  # fmt: skip
    cmdline = " ".join([*words, own])
    guest.root.write(CMDLINE_FILE, f"{cmdline}\n")
    guest.reboot()
    return f"booted with {cmdline}"


def _overlay(guest: Guest, value: str) -> str:
    """Debian's kernels before 5.11 have a parameter for it; newer ones need none."""
    parameter = "/sys/module/overlay/parameters/permit_mounts_in_userns"
    asked = guest.root.sh(f'{SBIN}modprobe overlay; cat "$1"', parameter, check=False)
    if not asked.ok:
        raise CannotInduce(
            f"overlay of kernel {guest.facts.kernel} has no parameter permit_mounts_in_userns",
            detail=asked.transcript,
        )
    return _do(guest, 'modprobe -r overlay && modprobe overlay "permit_mounts_in_userns=$1"',
               "1" if value == "yes" else "0")  # fmt: skip


def _setup_tool(guest: Guest, value: str) -> str:
    if value == "off PATH":
        return _away(guest, setuptool.NAME, bool(guest.facts.setuptool))
    return _back(guest, setuptool.NAME)


def _group(guest: Guest, value: str) -> str:
    user, wanted = guest.access.user, set() if value == "none" else set(value.split())
    has = set(trait("user-groups").probe(guest.facts).split()) - {"none"}
    said = [_do(guest, 'gpasswd -d "$1" "$2"', user, group) for group in sorted(has - wanted)]
    said += [_do(guest, 'usermod -aG "$2" "$1"', user, group) for group in sorted(wanted - has)]
    return "\n".join(said)


_KNOBS: dict[str, tuple[str, dict[str, str]]] = {
    "userns-clone": ("kernel.unprivileged_userns_clone", {}),
    "max-user-namespaces": ("user.max_user_namespaces", {">0": "28633"}),
    "port-boundary": ("net.ipv4.ip_unprivileged_port_start", {}),
    "ping-group-range": ("net.ipv4.ping_group_range", {}),
    "apparmor-userns": ("kernel.apparmor_restrict_unprivileged_userns", {}),
}
_NUMBER = "[0-9]+"
_IDS = (("none", "a number"), f"none|{_NUMBER}")
_SETTINGS = {
    "userns-clone": (("0", "1"), ""),
    "max-user-namespaces": (("0", ">0"), ""),
    "port-boundary": (("a number",), _NUMBER),
    "ping-group-range": (("two numbers",), f"{_NUMBER} {_NUMBER}"),
    "apparmor-userns": (("0", "1"), ""),
}
_HELPED = ("setuid root", "file capabilities", "powerless", "missing")
_LOADED = ("loaded", "available", "blocked")

INDUCERS: dict[str, Inducer] = {
    **{name: Inducer(_sysctl(knob, words), *_SETTINGS[name])
       for name, (knob, words) in _KNOBS.items()},
    **{f"{name}-module": Inducer(_module(name), _LOADED)
       for name in ("ip_tables", "nf_tables", "overlay", "br_netfilter", "tun")},
    **{name: Inducer(_program(name), ("present", "missing"))
       for name in ("rootlesskit", "rootlessctl", "slirp4netns", "fuse-overlayfs")},
    "docker-client": Inducer(_program("docker"), ("present", "missing")),
    **{name: Inducer(_helper(name), _HELPED) for name in ("newuidmap", "newgidmap")},
    "subordinate-uids": Inducer(_ids("/etc/subuid"), *_IDS),
    "subordinate-gids": Inducer(_ids("/etc/subgid"), *_IDS),
    "iptables": Inducer(_iptables, ("nft", "legacy", "none")),
    "rootlesskit-capabilities": Inducer(_rootlesskit_capabilities),
    "user-session": Inducer(_user_session, ("yes", "no"), relogin=True),
    "delegated-controllers": Inducer(_controllers, relogin=True),
    "slice-controllers": Inducer(_slice_controllers, relogin=True),
    "linger": Inducer(_linger, ("yes", "no")),
    "fuse-device": Inducer(_fuse_device, ("yes", "no")),
    "cgroup": Inducer(_cgroup, ("v2", "hybrid", "v1")),
    "overlay-in-userns": Inducer(_overlay, ("yes", "no")),
    "setup-tool": Inducer(_setup_tool, ("on PATH", "off PATH")),
    "user-groups": Inducer(_group, relogin=True),
}  # fmt: skip
