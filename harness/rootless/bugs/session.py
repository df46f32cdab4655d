"""The user's systemd session, and how one gets it."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.packages import manager
from harness.rootless import engine, setuptool
from harness.rootless.bugs import acts
from harness.rootless.bugs.model import Bug, Case, add
from harness.rootless.expectations import cgroup
from harness.rootless.inducers import CannotInduce

SESSION_BUS = "dbus-user-session"


def _no_systemd(facts: Facts) -> str:
    return "" if facts.systemd else "there is no systemd"


def _no_bus_package(facts: Facts) -> str:
    if facts.cgroup != "v2":
        return f"cgroup {facts.cgroup}: containers need no bus"
    return "" if SESSION_BUS in facts.packages else f"no package {SESSION_BUS} is installed"


def _no_login(facts: Facts) -> str:
    return _no_systemd(facts) or ("" if facts.setuptool else "no setup tool is installed")


def _ask_manager(case: Case) -> str:
    return case.guest.user.run("systemctl", "--user", "show-environment", check=False).transcript


def _remove_bus(case: Case) -> str:
    packages = manager(case.distro.package_manager, case.guest.root)
    removed = packages.remove(SESSION_BUS)
    if not case.guest.root.run("dockerd", "--version", check=False).ok:
        raise CannotInduce(f"the engine needs {SESSION_BUS}, and went with it")
    acts.log_in_to_daemon(case)
    return removed


def _install_bus(case: Case) -> str:
    packages = manager(case.distro.package_manager, case.guest.root)
    installed = packages.install(SESSION_BUS)
    acts.log_in_to_daemon(case)
    return installed


def _install_by_su(case: Case) -> str:
    return setuptool.plain(
        case.guest.root.run(
            "su", "-", case.guest.access.user, "-c", f"{setuptool.NAME} install",
            timeout=setuptool.INSTALL_SECONDS, check=False,
        )
    ).transcript  # fmt: skip


def _install(case: Case) -> str:
    return engine.install(case.guest).transcript


add(Bug(
    name="no-user-manager",
    tracker="nerdctl 686",
    url="https://github.com/containerd/nerdctl/issues/686",
    seen_on="CentOS 7",
    summary="systemctl --user has nobody to talk to",
    cause="the user has no service manager of systemd",
    trait="systemctl mask user@UID.service, and a new login",
    induce=acts.induce("user-session", "no"),
    attempt=_ask_manager,
    symptom=r"Failed to (connect to (user scope )?bus|get D-Bus connection)",
    healthy=r"^exit status 0$",
    cure=acts.induce("user-session", "yes"),
    cured_by="systemctl unmask user@UID.service, and a new login",
    cannot=_no_systemd,
))  # fmt: skip

add(Bug(
    name="no-user-bus",
    tracker="moby 42793",
    url="https://github.com/moby/moby/issues/42793",
    seen_on="Debian, Ubuntu",
    summary="no container starts",
    cause="without dbus-user-session the user has no bus, and runc cannot ask for a unit",
    trait=f"{SESSION_BUS} removed, and a new login",
    induce=_remove_bus,
    attempt=acts.run_container(),
    symptom=cgroup.NO_SCOPE,
    healthy=acts.RAN,
    cure=_install_bus,
    cured_by=f"{SESSION_BUS}, and a new login",
    state="daemon",
    cannot=_no_bus_package,
))  # fmt: skip

add(Bug(
    name="su-login",
    tracker="docker-install 326",
    url="https://github.com/docker/docker-install/issues/326",
    seen_on="Ubuntu 22.04",
    summary="the setup tool finds no systemd where there is one",
    cause="`su` and `sudo` open no session of systemd: XDG_RUNTIME_DIR is unset",
    trait="`install` through su - USER",
    induce=None,
    control=_install,
    attempt=_install_by_su,
    symptom=r"systemd not detected",
    healthy=r"^\[INFO\] Installed docker\.service successfully",
    cured_by="a login: ssh, or machinectl shell",
    cannot=_no_login,
))  # fmt: skip
