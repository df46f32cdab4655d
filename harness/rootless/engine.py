"""The engine on a guest: the rootless daemon of the user, and the client that speaks to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.session import CommandFailed, CommandTimeout, Result, Session, ended
from harness.rootless import processes, setuptool, slow
from harness.rootless.printed import as_json, unreadable
from harness.rootless.renamed import pattern

IMAGE = "busybox"
RUN_SECONDS = 30.0
START_SECONDS = 40.0
MANUAL_LOG = "dockerd-rootless.log"
RACE = "Cannot connect to the Docker daemon"

# Debian's busybox-static as the whole root of a container, in $root: no registry is needed.
MAKE_ROOT = """
mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/root"
chmod 1777 "$root/tmp"
for applet in $(busybox --list); do ln -sf busybox "$root/bin/$applet"; done
rm -f "$root/bin/busybox"  # the list names busybox itself
cp "$(command -v busybox)" "$root/bin/busybox"
printf 'root:x:0:0:root:/root:/bin/sh\\n' > "$root/etc/passwd"
printf 'root:x:0:\\n' > "$root/etc/group"
"""
_IMPORT = (
    """
set -eu
root=$(mktemp -d)"""
    + MAKE_ROOT
    + """tar --numeric-owner --owner=0 --group=0 -C "$root" -c . | docker "$@" import - "$IMAGE"
rm -rf "$root"
"""
)


# How often systemd says that a daemon ended and is started once more; nobody asked for it.
_RESTARTED = (
    "journalctl --no-pager -b -o cat USER_UNIT=docker.service"
    " | grep -ciE 'schedul(ed|ing) restart'"
)
ALL = 5000  # lines of a log
_DAEMON = f"dockerd.*|{pattern('rootlesskit')}"  # its processes, and the script that starts them


def recipe() -> list[str]:
    """What the state ``daemon`` is made with, for its key."""
    return ["install", IMAGE, _IMPORT]


class Docker:
    """The client of one login, with its arguments in front (for example a context or a host)."""

    def __init__(self, session: Session, *options: str, env: Mapping[str, str] | None = None):
        self.session = session
        self.options = options
        self.env = env

    def __call__(
        self, *arguments: str, input: str | bytes | None = None, timeout: float = RUN_SECONDS,
        check: bool = True,
    ) -> Result:  # fmt: skip
        """``docker OPTIONS ARGUMENTS``; *timeout* in seconds with hardware acceleration.

        :class:`CommandTimeout` also where the engine has given up at a deadline of its own.
        """
        result = self.session.run("docker", *self.options, *arguments, input=input, env=self.env,
                                  timeout=timeout, check=False)  # fmt: skip
        slow.check_deadline(result)
        if check and not result.ok:
            raise CommandFailed(result)
        return result

    def run(self, *arguments: str, timeout: float = RUN_SECONDS, check: bool = True) -> Result:
        """``docker run --rm ARGUMENTS``."""
        return self("run", "--rm", *arguments, timeout=timeout, check=check)

    def info(self) -> dict[str, Any]:
        """``docker info`` as the API gives it."""
        told = self("info", "--format", "{{json .}}")
        data = as_json(told)
        if not isinstance(data, dict):
            raise unreadable(told)
        return data

    def answers(self) -> bool:
        asked = ("version", "--format", "{{.Server.Version}}")
        return self.session.run("docker", *self.options, *asked, env=self.env,
                                timeout=RUN_SECONDS, check=False).ok  # fmt: skip

    def import_image(self, name: str = IMAGE) -> None:
        """Make the image *name* from the guest's static busybox."""
        self.session.sh(
            _IMPORT, *self.options, env={**(self.env or {}), "IMAGE": name}, timeout=RUN_SECONDS
        )


def rootless(guest: Guest) -> Docker:
    """The user's client on the rootless daemon, addressed as the documents export it."""
    return Docker(guest.user, env={"DOCKER_HOST": docker_host(guest)})


def docker_host(guest: Guest) -> str:
    directory = guest.facts.xdg_runtime_dir or f"/home/{guest.access.user}/.docker/run"
    return f"unix://{directory}/docker.sock"


def rootful(guest: Guest) -> Docker:
    """Root's client on the system's daemon."""
    return Docker(guest.root, "--host", "unix:///var/run/docker.sock")


def install(
    guest: Guest, *options: str, session: Session | None = None,
    env: Mapping[str, str] | None = None,
) -> setuptool.ToolResult:  # fmt: skip
    """``dockerd-rootless-setuptool.sh install``, again where the daemon was late for the tool: its
    stdout is then that of both runs.

    The units of 20.10 are ``Type=simple``: the tool sleeps three seconds and then asks the
    daemon, which a slow guest has not started by then.  Of later ones it waits for one start, and
    systemd makes another.  That is no fault of the distro, and the second run finds the daemon
    up.  Raises :class:`GuestRefusal` when the tool hangs, :class:`CommandTimeout` when it is only
    late, and :class:`TestbedError` when containerd is.
    """
    login = session or guest.user
    try:
        result = setuptool.run(login, "install", *options, env=env)
        if result.exit_status != 0 and late_for_the_tool(guest, result.stderr):
            try:
                wait_for_daemon(guest, unit=True)
            except GuestRefusal:
                return result  # it was not late: it does not come up
            again = setuptool.run(login, "install", *options, env=env)
            note = "(the daemon was slower than the tool; once more)"
            result = replace(
                again, stdout=f"{result.stdout}{again.stdout}",
                transcript=f"{result.transcript}\n{note}\n{again.transcript}",
            )  # fmt: skip
    except CommandTimeout as error:
        if not hopeless(guest, error, started=False):
            raise
        raise GuestRefusal(
            f"{setuptool.NAME} install: {error.what}", detail=daemon_log(guest)[-4000:]
        ) from error
    return result


def late_for_the_tool(guest: Guest, stderr: str) -> bool:
    """Whether `install`, which said *stderr*, only failed as the daemon was not up yet."""
    active = ("systemctl", "--user", "is-active", "docker.service")
    if RACE in stderr and guest.user.run(*active, check=False).ok:
        return True
    return slow.late_containerd(daemon_log(guest, ALL))


def start(guest: Guest) -> str:
    """Install and start the rootless daemon as the documents say; returns the transcript.

    Where the tool finds no systemd it prints the command to start the daemon by hand; that is
    then done.  Raises :class:`GuestRefusal` when the guest will not have a rootless daemon.
    """
    result = install(guest)
    if result.exit_status != 0:
        raise GuestRefusal(
            f"`{setuptool.NAME} install` {ended(result.exit_status)}: "
            f"{_last_line(result.stderr) or _last_line(result.stdout)}",
            detail=(result.transcript + "\n" + daemon_log(guest))[-4000:],
        )
    if setuptool.NO_SYSTEMD in result.stdout:
        start_by_hand(guest)
    wait_for_daemon(guest)
    return result.transcript


def wait_for_daemon(guest: Guest, *, unit: bool = False) -> None:
    """Wait for the rootless daemon's answer; :class:`GuestRefusal` with its log without one, and
    :class:`CommandTimeout` where it is only late, :class:`TestbedError` as :func:`hopeless`.

    With *unit* it is the user's unit that starts it: the wait ends when systemd gives up on that.
    """
    answers = rootless(guest).answers

    def settled() -> bool:
        failed = ("systemctl", "--user", "is-failed", "docker.service")
        return answers() or (unit and guest.user.run(*failed, check=False).ok)

    late = None
    try:
        guest.wait_until(settled, "an answer of the rootless daemon", START_SECONDS)
        if not unit or answers():
            return
    except CommandTimeout as error:
        if not hopeless(guest, error):
            raise
        late = error
    log = daemon_log(guest, ALL)
    slow.check_containerd(guest, log)
    raise GuestRefusal(
        f"the rootless daemon does not answer: {_last_line(log)}", detail=log[-4000:]
    ) from late


def hopeless(guest: Guest, late: CommandTimeout, *, started: bool = True) -> bool:
    """Whether what is *late* will not come: the daemon, if it was *started*, has ended by itself,
    or the guest has nothing to do, or spins.  Else it is at work, and the host may be too slow for
    it, as for a containerd that dockerd gave up on: :class:`TestbedError`."""
    log = daemon_log(guest, ALL)
    slow.check_containerd(guest, log)
    if int(guest.root.sh(_RESTARTED, check=False).stdout or 0) > slow.slow_starts(log):
        return True
    runs = ("pgrep", "-u", guest.access.user, "-x", _DAEMON)
    ended = started and not guest.root.run(*runs, check=False).ok
    return ended or bool(guest.idle(late)) or processes.spins(guest, late)


def start_by_hand(
    guest: Guest, *flags: str, env: Mapping[str, str] | None = None, session: Session | None = None
) -> None:
    """``dockerd-rootless.sh`` in the background, its output in the user's home."""
    variables = dict(env or {})
    if not guest.facts.xdg_runtime_dir:
        variables["XDG_RUNTIME_DIR"] = f"/home/{guest.access.user}/.docker/run"
    (session or guest.user).sh(
        'PATH=/usr/bin:/sbin:/usr/sbin:$PATH setsid dockerd-rootless.sh "$@" '
        f'> "$HOME/{MANUAL_LOG}" 2>&1 < /dev/null & sleep 0.2',
        *flags, env=variables,
    )  # fmt: skip


def end_by_hand(guest: Guest) -> None:
    """End a daemon that was started by hand, with its helpers; nothing where none runs."""
    user = guest.access.user
    guest.root.run("pkill", "-u", user, "-x", pattern("dockerd"), check=False)
    left = ("pgrep", "-u", user, "-x", pattern("dockerd", "rootlesskit"))
    guest.wait_until(
        lambda: not guest.root.run(*left, check=False).ok, "the daemon's end", START_SECONDS
    )


def restart(guest: Guest) -> None:
    """Restart the user's daemon, as its unit where there is one, and wait until it answers.

    Raises :class:`GuestRefusal` where it does not start again.
    """
    if guest.facts.user_session:
        # Of a unit that tells when it is ready systemd waits for that; the daemon's log says more.
        guest.user.run("systemctl", "--user", "restart", "docker.service", timeout=START_SECONDS,
                       check=False)  # fmt: skip
    else:
        end_by_hand(guest)
        start_by_hand(guest)
    wait_for_daemon(guest, unit=guest.facts.user_session)


def daemon_log(guest: Guest, lines: int = 200) -> str:
    """The rootless daemon's log, from the user's journal and from a start by hand.  What journald
    reads of a process that has ended has no unit, but the script's name."""
    return guest.root.sh(
        'journalctl --sync > /dev/null 2>&1; journalctl --no-pager -o cat -n "$1" '
        '_SYSTEMD_USER_UNIT=docker.service + SYSLOG_IDENTIFIER=dockerd-rootless.sh 2>&1; '
        'cat "$2" 2>/dev/null | tail -n "$1"',
        str(lines), f"/home/{guest.access.user}/{MANUAL_LOG}", check=False,
    ).stdout  # fmt: skip


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
