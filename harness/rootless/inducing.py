"""Inducing traits: give a guest the value of a trait that another machine has by itself.

For twins, for reproducing bugs, and for showing what a hint cures.  Everything is done as root,
with the means an administrator has; what a kernel lacks cannot be induced, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.errors import GuestRefusal, TestbedError, UsageError
from harness.guest.guest import CMDLINE_FILE, Guest
from harness.rootless import installing, setuptool
from harness.rootless.traits import trait

SBIN = "PATH=$PATH:/usr/sbin:/sbin; "


class CannotInduce(GuestRefusal):
    """The guest cannot have the value: the knob does not exist, say."""


@dataclass(frozen=True)
class Induced:
    """``before`` and ``after`` as probed.  Equal, and ``done`` empty, where there was nothing
    to do."""

    trait: str
    before: str
    after: str
    done: str  # the transcript

    def __str__(self) -> str:
        if not self.done:
            return f"{self.trait}: the guest has {self.before} already"
        return f"{self.trait}: {self.before}, now {self.after}"


Act = Callable[[Guest, str], str]


@dataclass(frozen=True)
class Inducer:
    """``act`` makes the guest have one of ``values`` (any, where there are none) and returns
    its transcript.  ``relogin``: only a fresh login shows it."""

    act: Act
    values: tuple[str, ...] = ()
    relogin: bool = False


INDUCERS: dict[str, Inducer] = {}


def find(name: str, value: str) -> Inducer:
    """Who gives the trait *name* a *value*; :class:`UsageError` where nobody can."""
    trait(name)
    if name not in INDUCERS:
        raise UsageError(
            f"trait {name} cannot be induced; those that can: {', '.join(INDUCERS)}",
            command="harness trait list",
        )
    inducer = INDUCERS[name]
    if inducer.values and value not in inducer.values:
        raise UsageError(
            f"trait {name} cannot be given the value {value!r}; "
            f"it can be given: {', '.join(inducer.values)}",
            command="harness trait list",
        )
    return inducer


def induce(guest: Guest, name: str, value: str) -> Induced:
    """Make *guest* have *value* for the trait *name*.

    Raises :class:`UsageError` for a trait or value that nobody can induce, and
    :class:`CannotInduce` where this guest cannot have it.  The facts are probed anew.
    """
    inducer = find(name, value)
    before = trait(name).probe(guest.facts)
    if before == value:
        return Induced(name, before, before, "")
    done = inducer.act(guest, value)
    if inducer.relogin:
        log_in_again(guest)
    after = trait(name).probe(guest.probe())
    if after != value:
        raise CannotInduce(f"{name} is still {after}, not {value}", detail=done)
    return Induced(name, before, after, done)


def at_state(
    guest: Guest, wanted: Iterable[tuple[str, str]], log: Callable[[str], None]
) -> None:
    """Induce what the user asked for when a state is made.  What cannot be is the user's to
    know, never a finding: :class:`TestbedError`."""
    for name, value in wanted:
        try:
            log(str(induce(guest, name, value)))
        except CannotInduce as error:
            raise TestbedError(
                f"{guest.cell}: {name}={value} cannot be induced: {error.what}",
                hint="leave it out, or choose a cell that can have it",
                command="harness trait list",
                detail=error.detail,
            ) from error


def log_in_again(guest: Guest) -> None:
    """End the user's sessions and manager: the next login starts from nothing."""
    guest.disconnect()
    guest.root.run("loginctl", "terminate-user", guest.access.user, check=False)


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


def _program(name: str) -> Act:
    def act(guest: Guest, value: str) -> str:
        if value == "missing":
            if guest.facts.binary(name) is None:
                raise CannotInduce(f"{name} is not installed")
            return f"{installing.hide(guest.root, name)} hidden"
        installing.show(guest.root, name)
        return f"{name} shown again"

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
            if not value.isdecimal():
                raise UsageError(f"a number of subordinate ids, or none, not {value!r}")
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
    return _do(
        guest,
        'd=/etc/systemd/system/user@.service.d; mkdir -p $d; '
        'printf "[Service]\\nDelegate=\\nDelegate=%s\\n" "$1" > $d/delegate.conf; '
        'systemctl daemon-reload', wanted,
    )  # fmt: skip


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
    if value == "on PATH":
        installing.show(guest.root, setuptool.NAME)
        return f"{setuptool.NAME} shown again"
    if not guest.facts.setuptool:
        raise CannotInduce(f"{setuptool.NAME} is not installed")
    return f"{installing.hide(guest.root, setuptool.NAME)} hidden"


def _group(guest: Guest, value: str) -> str:
    user, wanted = guest.access.user, set() if value == "none" else set(value.split())
    has = set(trait("user-groups").probe(guest.facts).split()) - {"none"}
    said = [_do(guest, 'gpasswd -d "$1" "$2"', user, group) for group in sorted(has - wanted)]
    said += [_do(guest, 'usermod -aG "$2" "$1"', user, group) for group in sorted(wanted - has)]
    return "\n".join(said)


def _register() -> None:
    knobs: dict[str, tuple[str, dict[str, str]]] = {
        "userns-clone": ("kernel.unprivileged_userns_clone", {}),
        "max-user-namespaces": ("user.max_user_namespaces", {">0": "28633"}),
        "port-boundary": ("net.ipv4.ip_unprivileged_port_start", {}),
        "ping-group-range": ("net.ipv4.ping_group_range", {}),
        "apparmor-userns": ("kernel.apparmor_restrict_unprivileged_userns", {}),
    }
    for name, (knob, translate) in knobs.items():
        INDUCERS[name] = Inducer(_sysctl(knob, translate))
    for name in ("ip_tables", "nf_tables", "overlay", "br_netfilter", "tun"):
        INDUCERS[f"{name}-module"] = Inducer(_module(name), ("loaded", "available", "blocked"))
    for name in ("rootlesskit", "slirp4netns", "fuse-overlayfs"):
        INDUCERS[name] = Inducer(_program(name), ("present", "missing"))
    for name in ("newuidmap", "newgidmap"):
        INDUCERS[name] = Inducer(
            _helper(name), ("setuid root", "file capabilities", "powerless", "missing")
        )
    INDUCERS["subordinate-uids"] = Inducer(_ids("/etc/subuid"))
    INDUCERS["subordinate-gids"] = Inducer(_ids("/etc/subgid"))
    INDUCERS["iptables"] = Inducer(_iptables, ("nft", "legacy", "none"))
    INDUCERS["rootlesskit-capabilities"] = Inducer(_rootlesskit_capabilities)
    INDUCERS["user-session"] = Inducer(_user_session, ("yes", "no"), relogin=True)
    INDUCERS["delegated-controllers"] = Inducer(_controllers, relogin=True)
    INDUCERS["linger"] = Inducer(_linger, ("yes", "no"))
    INDUCERS["fuse-device"] = Inducer(_fuse_device, ("yes", "no"))
    INDUCERS["cgroup"] = Inducer(_cgroup, ("v2", "hybrid", "v1"))
    INDUCERS["overlay-in-userns"] = Inducer(_overlay, ("yes", "no"))
    INDUCERS["setup-tool"] = Inducer(_setup_tool, ("on PATH", "off PATH"))
    INDUCERS["user-groups"] = Inducer(_group, relogin=True)


_register()

