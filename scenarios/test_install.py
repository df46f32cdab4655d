"""Installing the rootless daemon as a user, and what that leaves behind."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

import pytest

from harness.distros.base import Distro
from harness.errors import GuestRefusal
from harness.guest.facts import version_tuple
from harness.guest.guest import Guest
from harness.guest.session import CommandFailed, CommandTimeout, Result, Session
from harness.packages import manager
from harness.rootless import attempt, engine, installing, looking, printed, rootful, setuptool
from harness.rootless.audit import watch
from harness.rootless.engine import IMAGE, Docker
from harness.rootless.expectations import cgroup, predict
from harness.rootless.expectations.install import ADVICE
from harness.rootless.expectations.model import OTHERWISE
from harness.rootless.setuptool import ToolResult
from harness.session.decide import Decider

pytestmark = [pytest.mark.install, pytest.mark.state("prepared")]


@pytest.mark.claims("P13", "P13.exit", "D13", "P13.unit", "D13.enabled", "D13.unit_type",
                    "D13.context", "D13.context_host", "D13.docker_host", "D13.path",
                    "D13.advice", "D13.said")  # fmt: skip
def test_install(guest: Guest, decide: Decider) -> None:
    """`install` makes, starts and enables a unit, makes a context, and says what to export."""
    result = engine.install(guest)
    said = installing.outcome(guest, result)
    decide("P13", said, result.transcript)
    decide("P13.exit", result.exit_status == 0, result.transcript)
    decide("D13", said, result.transcript)
    unit = guest.user.run(
        "systemctl", "--user", "show", "-p", "ActiveState,NRestarts,Type", "docker.service",
        check=False,
    )  # fmt: skip
    shown = dict(line.split("=", 1) for line in unit.stdout.splitlines() if "=" in line)
    state = shown.get("ActiveState", "")
    if result.exit_status and shown.get("NRestarts", "0") != "0":
        state += ", started again"  # between two failures a unit is active too
    decide("P13.unit", state, unit)
    enabled = guest.user.run("systemctl", "--user", "is-enabled", "docker.service", check=False)
    decide("D13.enabled", enabled.stdout.strip(), enabled)
    decide("D13.unit_type", shown.get("Type", ""), unit)
    contexts = guest.user.run(
        "docker", "context", "ls", "--format", "{{.Name}} {{.Current}}", check=False
    )
    states = installing.contexts(contexts.stdout)
    used = {"true": "created and used", "false": "created"}
    decide("D13.context", used.get(states.get("rootless", ""), "none"), contexts)
    decide("D13.context_host", *installing.context_host(guest))
    told = installing.exports(result)
    decide("D13.docker_host", told.get("DOCKER_HOST", ""), result.transcript)
    decide("D13.path", told.get("PATH", ""), result.transcript)
    user = guest.access.user
    given = [name for name, text in ADVICE.items() if text.format(user=user) in result.stdout]
    decide("D13.advice", " ".join(given) or "none", result.transcript)
    decide("D13.said", ", ".join(installing.lines(result.stdout)) or "none", result.transcript)


def sudo_rules(guest: Guest) -> str:
    """What sudo, where it is installed, lets the user do; nothing if nothing."""
    if guest.facts.binary("sudo") is None:
        return ""
    asked = guest.root.run("env", "LC_ALL=C", "sudo", "-n", "-l", "-U", guest.access.user,
                           check=False)  # fmt: skip
    return asked.transcript if "may run the following commands" in asked.stdout else ""


def root_by_su(guest: Guest) -> str:
    """What su answers the user who has no password to give; nothing if it makes nobody root."""
    asked = guest.user.run("su", "-c", "id -u", input="", check=False)
    return asked.transcript if asked.stdout.strip() == "0" else ""


@pytest.mark.claims("P14", "P2", "D2")
def test_whole_way(guest: Guest, decide: Decider) -> None:
    """From installing to a running container nothing but the id-map helpers gains privilege.

    What sudo there is gives nothing while the user does this, and tells who asked; root only
    watches.
    """
    rules = sudo_rules(guest) or root_by_su(guest)
    installing.stand_in(guest.root, "sudo")
    with watch(guest.root) as watching:
        result = engine.install(guest)
        if result.exit_status != 0:
            for key in decide.undecided():
                decide(key, f"install {installing.outcome(guest, result)}", result.transcript)
            return
        path = guest.user.sh("echo $PATH").stdout.strip()
        told = {k: v.replace("$PATH", path) for k, v in installing.exports(result).items()}
        docker = Docker(guest.user, env=told)
        if setuptool.NO_SYSTEMD in result.stdout:  # then it says what to run
            engine.start_by_hand(guest)
            engine.wait_for_daemon(guest)
        docker.import_image()
        run = docker.run(IMAGE, "echo", "hello", check=False)
        decide("P14", run.exit_status, f"exported {told}\n{run.transcript}")

        name = docker("run", "-d", IMAGE, *looking.WAIT).stdout.strip()
        pid = printed.as_number(docker("inspect", "-f", "{{.State.Pid}}", name))
        api_socket = told.get("DOCKER_HOST", engine.docker_host(guest)).removeprefix("unix://")
        look = looking.look_at(guest, watching, pid, api_socket, "the user's installation")
    evidence = f"{result.transcript}\n{look.report}\ngained: {', '.join(look.gained)}"
    asked = installing.asked(guest.root, "sudo")
    used = [look.gains] if look.gains != "only helpers" else []
    used += ["sudo asked for"] if asked else []
    decide("P2", f"privilege used: {', '.join(used)}" if used else "no privilege used",
           f"{evidence}\n{asked}")  # fmt: skip
    unprivileged = not rules and all(t.passed for t in look.report.tests if t.number == 6)
    decide("D2", "no privilege used" if unprivileged else "privilege at hand",
           f"{evidence}\n{rules}")  # fmt: skip


@pytest.mark.claims("D10.not_writable")
def test_beside_rootful(guest: Guest, decide: Decider) -> None:
    """A system-wide daemon that the user has no access to does not stop `install`."""
    rootful.up(guest)
    result = engine.install(guest)
    decide("D10.not_writable", installing.outcome(guest, result), result.transcript)


@contextlib.contextmanager
def docker_group_login(guest: Guest) -> Iterator[Session]:
    """A login of the user as a member of the group that may use the system-wide daemon."""
    guest.root.run("usermod", "-aG", "docker", guest.access.user)
    login = guest.new_login()
    try:
        if not login.run("test", "-w", "/var/run/docker.sock", check=False).ok:
            looked = login.sh("id; ls -lL /var/run/docker.sock", check=False)
            raise GuestRefusal("the group docker may not use the system-wide daemon",
                               detail=looked.transcript)  # fmt: skip
        yield login
    finally:
        login.close()


@pytest.mark.claims("D10", "D10.short_option", "D9.socket_left", "D9", "D8.streams")
def test_switch_rootful_off(guest: Guest, decide: Decider, distro: Distro) -> None:
    """Who may use the system-wide daemon has to switch it off first, and to remove its socket."""
    rootful.up(guest)
    with docker_group_login(guest) as login:
        result = setuptool.run(login, "install")
        decide("D10", installing.outcome(guest, result), result.transcript)
        decide("D8.streams", setuptool.streams(result), result.transcript)
        forced = setuptool.run(login, "-f", "check")
        decide("D10.short_option", attempt.words_of_check(forced), forced.transcript)
        for hint, key in (("rootful-off", "D9.socket_left"), ("rootful-socket", "D9")):
            for command in distro.hint(hint).commands:
                done = guest.root.run("sh", "-c", command, timeout=60)
            left = login.sh("ls -l /var/run/docker.sock", check=False)
            checked = setuptool.run(login, "check")
            evidence = f"{done.transcript}\n{left.transcript}\n{checked.transcript}"
            decide(key, attempt.words_of_check(checked), evidence)


@pytest.mark.claims("D10.force", "D11")
def test_force(guest: Guest, decide: Decider) -> None:
    """Who may use the system-wide daemon can insist, and then has both daemons."""
    rootful.up(guest)
    with docker_group_login(guest) as login:
        result = engine.install(guest, "--force", session=login)
        decide("D10.force", installing.outcome(guest, result), result.transcript)
        # The user's, whose own context leads elsewhere: root's is the default one anyway.
        info = login.run("env", "-u", "DOCKER_HOST", "docker", "-c", "default", "info", "--format",
                         "{{json .SecurityOptions}}", check=False)  # fmt: skip
    seen = "rootless" if "rootless" in info.stdout else "rootful"
    decide("D11", seen if info.ok else "no answer", info)


def through_su(guest: Guest, *argv: str, timeout: float | None = None) -> Result:
    """A command of the user who was reached from root by `su -`, which makes no session."""
    return guest.root.run(
        "su", "-", guest.access.user, "-c", shlex.join(argv), check=False, timeout=timeout
    )


@pytest.mark.claims("D8.no_session", "D8.no_session_check", "D8.start_command", "M25.no_session",
                    "P14.no_session")  # fmt: skip
def test_no_session(guest: Guest, decide: Decider) -> None:
    """Without a session `install` says how the user is to start the daemon; containers then need
    no systemd."""
    session = through_su(guest, "systemctl", "--user", "show-environment")
    if session.ok:
        for key in decide.undecided():
            decide.not_applicable(key, "`su -` gives the user a systemd session here")
        return
    checked = setuptool.plain(through_su(guest, guest.facts.setuptool, "check", timeout=60))
    decide("D8.no_session_check", attempt.words_of_check(checked), checked.transcript)
    installed = through_su(guest, guest.facts.setuptool, "install", timeout=60)
    result: ToolResult = setuptool.plain(installed)
    decide("D8.no_session", installing.outcome(guest, result), result.transcript)
    command = installing.start_command(result)
    decide("D8.start_command", command or "none", result.transcript)

    directory = installing.exports(result).get("XDG_RUNTIME_DIR", "")
    if not directory or not command:
        missing = "how to start the daemon" if directory else "what XDG_RUNTIME_DIR to export"
        raise GuestRefusal(f"`install` does not say {missing}", detail=result.transcript)
    started = through_su(
        guest, "env", f"XDG_RUNTIME_DIR={directory}", "sh", "-c",
        f"setsid sh -c {shlex.quote(command)} > {engine.MANUAL_LOG} 2>&1 < /dev/null & sleep 0.2",
    )  # fmt: skip
    if not started.ok:
        raise CommandFailed(started)
    docker = Docker(guest.user, env={"DOCKER_HOST": f"unix://{directory}/docker.sock"})
    try:
        guest.wait_until(docker.answers, "an answer of the rootless daemon", engine.START_SECONDS)
    except CommandTimeout as error:
        if not engine.hopeless(guest, error):
            raise
        raise GuestRefusal(error.what, detail=engine.daemon_log(guest)) from error
    named = docker("info", "--format", "{{.CgroupDriver}}")
    decide("M25.no_session", named.stdout.strip(), named)
    docker.import_image()
    run = docker.run(IMAGE, "true", check=False)
    unscoped = cgroup.refusal(run.stderr) == "no container"
    failed = "fails" if unscoped else OTHERWISE
    decide("P14.no_session", "runs" if run.ok else failed, run)


@pytest.mark.claims("M18", "P3", "M18.start", "M18.accepted")
def test_start_by_hand(guest: Guest, decide: Decider) -> None:
    """The daemon starts from its script, and from 20.10 on needs no --experimental."""
    plain = attempt.begin(guest)
    asked = plain.outcome != "starts" and "experimental" in plain.evidence
    decide("M18", "refused" if asked else plain.outcome, plain.evidence)
    decide("P3", "refused" if asked else plain.outcome, plain.evidence)
    engine.end_by_hand(guest)
    experimental = attempt.begin(guest, "--experimental")
    decide("M18.accepted", experimental.outcome, experimental.evidence)
    answer = engine.rootless(guest)("version", check=False)
    decide("M18.start", answer.ok, answer)


def refusal(session: Session, *environment: str) -> tuple[str, Result]:
    """What the script says at last, and its exit status; one that does not refuse is ended."""
    told = session.run(
        "env", *environment, "timeout", "-k", "5", "30", "dockerd-rootless.sh", check=False,
        timeout=60,
    )  # fmt: skip
    said = told.stdout.split("\n")
    return f"{next(filter(None, reversed(said)), 'nothing')}, exit {told.exit_status}", told


@pytest.mark.claims("M18.as_root", "M18.no_runtime_directory")
def test_script_refuses(guest: Guest, decide: Decider) -> None:
    """The script that starts the daemon is not for root, and needs a runtime directory."""
    ways = {
        "M18.as_root": (guest.root, "XDG_RUNTIME_DIR=/run"),
        "M18.no_runtime_directory": (guest.user, "--unset=XDG_RUNTIME_DIR"),
    }
    for key, (session, environment) in ways.items():
        if predict(key, guest.facts).applies:
            decide(key, *refusal(session, environment))
        else:
            decide(key, None)


@pytest.mark.claims("P4", "P7", "P7.storage", "D16", "D18")
def test_packages(guest: Guest, decide: Decider, distro: Distro) -> None:
    """Where the documents name packages, these are the ones that bring rootless mode."""
    facts = guest.facts
    version = manager(distro.package_manager, guest.root).owner(facts.setuptool)
    decide("D16", version, f"{facts.setuptool} belongs to {version or 'no package'}")
    packaged = facts.packages.get("docker-rootless", "")
    offered = version_tuple(packaged.rpartition(":")[2]) >= (20, 10, 14)
    decide("P4", offered, f"docker-rootless {packaged or 'missing'}")
    checked = attempt.check(guest)
    decide("P7", checked.outcome, checked.evidence)
    if predict("P7.storage", facts).applies:
        if facts.binary("fuse-overlayfs"):
            installing.hide(guest.root, "fuse-overlayfs")
        started = attempt.begin(guest)
        named = engine.rootless(guest)("info", "--format", "{{.Driver}}", check=False)
        driver = named.stdout.strip() if started.outcome == "starts" else started.outcome
        decide("P7.storage", driver, f"{started.evidence}\n{named.transcript}")
    else:
        decide.not_applicable("P7.storage", predict("P7.storage", facts).because)
    decide("D18", "unsupported" if facts.arch == "s390x" else "supported", facts.arch)
