"""What the rootless daemon says of itself, and of its containers."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import pytest

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.rootless import attempt, engine, installing, looking, openness
from harness.rootless.engine import Docker
from harness.rootless.expectations import cgroup, installed
from harness.session.decide import Decider

pytestmark = [pytest.mark.info]

UNIT = ".config/systemd/user/docker.service"
FILTER = "2"  # SECCOMP_MODE_FILTER of linux/seccomp.h
# The words behind the program's name, of the process that dockerd says it is.
FLAGS = """
tr '\\0' '\\n' < /proc/"$(cat "$1/docker.pid")"/cmdline | tail -n +2
"""
KEPT_IN = """
awk '$1 == "Seccomp:" || $1 == "CapBnd:" { print $2 }' "/proc/$1/status"
readlink "/proc/$1/ns/cgroup" /proc/1/ns/cgroup
"""


def security_options(info: dict[str, Any]) -> dict[str, dict[str, str]]:
    """``name=seccomp,profile=default`` → ``{"seccomp": {"profile": "default"}}``."""
    options = {}
    for text in info["SecurityOptions"]:
        fields = dict(field.partition("=")[::2] for field in text.split(","))
        options[fields.pop("name", text)] = fields
    return options


@pytest.mark.claims("M24", "D19.rootless", "D19.seccomp", "D19.cgroupns", "M13", "M25")
def test_info(docker: Docker, decide: Decider) -> None:
    """`docker info` names rootless mode, its security options and its cgroup driver."""
    shown = docker("info")
    info = docker.info()
    options = security_options(info)
    evidence = f"SecurityOptions: {info['SecurityOptions']}\n{shown.transcript}"
    decide("M24", "rootless" in options, evidence)
    decide("D19.rootless", "rootless" in options, evidence)
    decide("D19.seccomp", options.get("seccomp", {}).get("profile", "none"), evidence)
    decide("D19.cgroupns", "cgroupns" in options, evidence)
    decide("M13", "present" if "apparmor" in options else "absent", evidence)
    decide("M25", info["CgroupDriver"], f"CgroupDriver: {info['CgroupDriver']}\n{evidence}")


def context_in(info: Result) -> str:
    """The Context line of what `docker info` printed."""
    found = re.search(r"^ *Context: *(.+)$", info.stdout, re.MULTILINE)
    return found[1].strip() if found else "none"


@pytest.mark.claims("D19.context", "D19.context_login", "D13.context_host", "D14",
                    "D13.unit_requires", "D13.unit_lines", "D13.unit_settings",
                    "D13.unit_path", "D13.unit_command", "D13.login", "D13.login_programs",
                    "D13.flags")  # fmt: skip
def test_installed(guest: Guest, docker: Docker, decide: Decider) -> None:
    """Installing leaves a unit of the user's own, and a context that the client uses."""
    shown = guest.user.run("env", "-u", "DOCKER_HOST", "-u", "DOCKER_CONTEXT", "docker", "info",
                           check=False)  # fmt: skip
    decide("D19.context", context_in(shown), shown)
    shown = guest.user.run(*looking.LOGIN, "-c", "docker info", check=False)
    decide("D19.context_login", context_in(shown), shown)
    decide("D13.context_host", *installing.context_host(guest))

    places = guest.user.run(
        "systemctl", "--user", "show", "--property=FragmentPath", "--value", "docker.service",
        check=False,
    )  # fmt: skip
    home = guest.user.sh('printf %s "$HOME"').stdout
    place = places.stdout.strip()
    # Whoever writes one of these says what the user's next daemon or client does.
    own = (".config/docker", ".config/docker/daemon.json", ".docker", ".docker/config.json")
    parts = (place, str(PurePosixPath(place).parent), *(f"{home}/{name}" for name in own))
    remark, looked = openness.opened(guest, *parts, bits=openness.WRITE)
    decide("D14", f"{place.removeprefix(f'{home}/')}{remark}" if place else "none",
           f"{places.transcript}\n{looked}")  # fmt: skip
    unit = guest.user.sh('cat "$HOME/$1"', UNIT, check=False)
    named = re.search(r"^Requires=.*\bdbus\.socket\b", unit.stdout, re.MULTILINE) is not None
    decide("D13.unit_requires", named if unit.ok else "no unit", unit)
    decide("D13.unit_lines", installed.lines(unit.stdout) if unit.ok else "no unit", unit)
    path = guest.user.sh('printf %s "$PATH"').stdout
    decide("D13.unit_path", installed.path_in(unit.stdout, path) if unit.ok else "no unit", unit)
    asked = ("-p", ",".join((*installed.UNIT_SETTINGS, "ExecStart")))
    has = guest.user.run("systemctl", "--user", "show", *asked, "docker.service", check=False)
    in_force = dict(line.split("=", 1) for line in has.stdout.splitlines() if "=" in line)
    for name in ("ExecStart", "ExecReload"):
        in_force[name] = installed.command(in_force.get(name, ""))
    decide("D13.unit_settings", installed.settings(in_force), has)
    decide("D13.unit_command", in_force["ExecStart"], has)

    plain, login = (looking.variables(guest.user, *shell) for shell in (("sh",), looking.LOGIN))
    other = sorted(name for name in plain.keys() | login if plain.get(name) != login.get(name))
    decide("D13.login", " ".join(other) or "none", f"session {plain}\nlogin shell {login}")
    plain, login = (looking.programs(guest.user, *shell) for shell in (("bash",), looking.LOGIN))
    other = [name for name in installed.PROGRAMS if plain.get(name) != login.get(name)]
    decide("D13.login_programs", " ".join(other) or "none",
           f"session {plain}\nlogin shell {login}")  # fmt: skip
    directory = engine.docker_host(guest).removeprefix("unix://").removesuffix("/docker.sock")
    said = guest.user.sh(FLAGS, directory, check=False)
    words = " ".join(said.stdout.split()) or "none"
    decide("D13.flags", words if said.ok else "no process of dockerd", said)


@pytest.mark.claims("M13.profile", "M12.top", "D19.seccomp_filter", "D19.cgroupns_own",
                    "D19.capabilities")  # fmt: skip
def test_container_from_outside(guest: Guest, docker: Docker, decide: Decider) -> None:
    """A rootless container is confined by no AppArmor profile but by a filter of system calls and
    a cgroup namespace, as `docker info` says; its processes can be listed."""
    container = docker("run", "-d", "busybox", "sleep", "600").stdout.strip()
    pid = docker("inspect", "--format", "{{.State.Pid}}", container).stdout.strip()
    command = guest.root.run("cat", f"/proc/{pid}/cmdline").stdout
    if "sleep" not in command:
        raise GuestRefusal(f"the container's process, {pid}, is not what was asked to run",
                           detail=f"{command!r}\n{docker('ps', '-a', check=False).transcript}")
    label = guest.root.run("cat", f"/proc/{pid}/attr/current", check=False)
    decide("M13.profile", looking.confinement(label.stdout) if label.ok else "none", label)
    kept = guest.root.sh(KEPT_IN, pid)
    capabilities, filtered, inside, outside = kept.stdout.split()
    decide("D19.capabilities", capabilities, kept)
    forbidden = docker("exec", container, "unshare", "-U", "true", check=False)
    passes = "new user namespaces pass" if forbidden.ok else "filtered"
    decide("D19.seccomp_filter", passes if filtered == FILTER else filtered,
           f"{kept.transcript}\n{forbidden.transcript}")  # fmt: skip
    decide("D19.cgroupns_own", inside != outside, kept)

    top = docker("top", container, check=False)
    listed = top.ok and any("sleep 600" in line for line in top.stdout.splitlines()[1:])
    decide("M12.top", "works" if listed else cgroup.top_failure(top.stderr), top)


@pytest.mark.claims("M25.systemd_setting", "M25.cgroupfs_setting")
def test_cgroup_driver_asked_for(guest: Guest, docker: Docker, decide: Decider) -> None:
    """The systemd cgroup driver can be asked for where systemd and cgroup v2 are there; cgroupfs
    is what a user's daemon cannot do, and is none."""
    tried = attempt.begin(guest, "--exec-opt", "native.cgroupdriver=systemd")
    refused = tried.outcome == "fails: cgroup driver"
    decide("M25.systemd_setting", "refused" if refused else tried.outcome, tried.evidence)
    engine.end_by_hand(guest)
    # systemd is the default besides: only another one shows that the option is heeded.
    tried = attempt.begin(guest, "--exec-opt", "native.cgroupdriver=cgroupfs")
    named = docker("info", "--format", "{{.CgroupDriver}}", check=False)
    seen = named.stdout.strip() if tried.outcome == "starts" else tried.outcome
    decide("M25.cgroupfs_setting", seen, f"{tried.evidence}\n{named.transcript}")
