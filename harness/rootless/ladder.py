"""The rungs: what is done to a guest on the way from ``booted`` to ``daemon``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from harness.distros.base import Distro, Hint
from harness.errors import GuestRefusal, UsageError
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout
from harness.matrix import Cell
from harness.packages import PackageManager, manager
from harness.rootless import archive, engine
from harness.rootless.relogin import log_in_again

STATES = ("booted", "prepared", "daemon")
# Read from a cold disk they slow the first daemon so much that the setup tool gives up on it.
WARM = (
    "dockerd", "docker", "containerd", "containerd-shim-runc-v2", "runc", "rootlesskit",
    "slirp4netns", "newuidmap", "newgidmap", "iptables", "busybox",
)  # fmt: skip

# The message of the day is made anew at each login: a tenth of a second under emulation.  Where
# the file is the distro's own, below /usr, it says nothing of such messages.
QUIET_LOGIN = "[ ! -e /etc/pam.d/sshd ] || sed -i '/pam_motd/s/^/#/' /etc/pam.d/sshd"

Log = Callable[[str], None]


def check_state(state: str) -> str:
    """*state*, or :class:`UsageError` where there is none of that name."""
    if state not in STATES:
        raise UsageError(f"no state {state!r}; known states: {', '.join(STATES)}")
    return state


def engine_packages(cell: Cell, distro: Distro) -> tuple[str, ...]:
    """The packages to install, the engine's with the version that the cell asks for."""
    return tuple(
        cell.engine if cell.engine.startswith(f"{name}=") else name for name in distro.packages
    )


def definition(state: str, cell: Cell, distro: Distro) -> Any:
    """What :func:`climb` does for *state*, as data for the state's key."""
    if state == "prepared":
        first = [[hint.name, *hint.commands] for hint in distro.before]
        return [
            *([first] if first else []),
            distro.package_manager,
            list(engine_packages(cell, distro)),
            [[hint.name, *hint.commands] for hint in distro.hints],
            "log in again",
        ]
    if state == "daemon":
        return engine.recipe()
    return [QUIET_LOGIN]


def climb(guest: Guest, cell: Cell, distro: Distro, state: str, log: Log) -> None:
    """Bring *guest* from the state below to *state*; *log* takes the transcripts.

    A daemon that does not come in time is the guest's refusal, unless the guest is still at work.
    What is installed before comes over a network, and there a :class:`CommandTimeout` says nothing
    about the distro.
    """
    try:
        if state == "booted":
            guest.root.run("sh", "-c", QUIET_LOGIN)
        elif state == "prepared":
            _prepare(guest, cell, distro, log)
        elif state == "daemon":
            log(engine.start(guest))
            engine.rootless(guest).import_image()
    except CommandTimeout as error:
        if state != "daemon" or not guest.idle(error):
            raise
        raise GuestRefusal(error.what, detail=error.detail) from error


def _prepare(guest: Guest, cell: Cell, distro: Distro, log: Log) -> None:
    packages = manager(distro.package_manager, guest.root)
    _apply(guest, packages, distro.before, log)
    wanted = [
        archive.pinned(packages, cell, name) if name == cell.engine else name
        for name in engine_packages(cell, distro)
    ]
    log(packages.install(*wanted))
    _apply(guest, packages, distro.hints, log)
    # The manual asks for it after dbus-user-session: without the user's bus no container starts.
    log_in_again(guest)
    guest.user.run("true")


def _apply(guest: Guest, packages: PackageManager, hints: Iterable[Hint], log: Log) -> None:
    """A hint is the document's own line for a shell, constant data of the distro's file.
    One that fails is not the end: what it leaves undone shows as a fact.  One that asks, as
    ``pacman -S`` does, is answered yes.  A download that fails is the test bed's trouble."""
    for hint in hints:
        for command in hint.commands_for(guest.access.user):
            try:
                log(packages.shell(command, answer="y\n"))
            except GuestRefusal as refusal:
                log(f"{refusal.what}\n{refusal.detail}")


def records(guest: Guest, state: str) -> dict[str, str]:
    """What a run shows of how a state was made, by file name: the journal and, with a daemon,
    its log and its ``docker info``."""
    found = {
        "journal.log": guest.root.run("journalctl", "--no-pager", "-b", check=False).stdout
    }
    if state == "daemon":
        docker = engine.rootless(guest)
        found["daemon.log"] = engine.daemon_log(guest)
        with contextlib.suppress(CommandTimeout):  # what hangs is for scenarios to tell
            found["docker-info.json"] = docker("info", "--format", "{{json .}}", check=False).stdout
    return found
