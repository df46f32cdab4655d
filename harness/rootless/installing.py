"""Installing with the setup tool: what became of it, in the words that rules predict with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.session import Result, Session
from harness.rootless import engine, setuptool
from harness.rootless.attempt import words_of_check
from harness.rootless.expectations import lines as said
from harness.rootless.expectations import requirements
from harness.rootless.expectations.start import reason_in
from harness.rootless.setuptool import ToolResult

_NO_CLIENT = re.compile(r"/docker: (not found|No such file)")
_ASKED = "/var/tmp/asked-for"  # by who may be anybody
_STARTED = "starting systemd service"
# Out of every directory that a login or the tool looks into; printed is where it was.
_HIDE = """
for directory in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    [ -e "$directory/$1" ] || [ -L "$directory/$1" ] || continue
    mv "$directory/$1" "$directory/.$1.hidden" && echo "$directory/$1"
done
"""
_SHOW = """
for directory in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    [ -e "$directory/.$1.hidden" ] || [ -L "$directory/.$1.hidden" ] || continue
    mv "$directory/.$1.hidden" "$directory/$1"
done
"""


def words_of_install(result: ToolResult, log: str = "") -> str:
    """What `install` came to, in the words of requirements.py; *log* is the daemon's."""
    if result.exit_status == 0:
        if setuptool.NO_SYSTEMD not in result.stdout:
            return "installed"
        told = setuptool.BY_HAND in result.stdout.splitlines()
        return f"{setuptool.NO_SYSTEMD}{'' if told else ', in other words'}"
    if _NO_CLIENT.search(result.stderr):
        return "failed: docker not beside the tool"
    if _STARTED in result.stdout:
        strange = "" if result.exit_status == 1 else f", exit {result.exit_status}"
        return f"failed: {reason_in(log) or 'unknown reason'}{strange}"
    return f"failed: {words_of_check(result)}"


def outcome(guest: Guest, result: ToolResult) -> str:
    """:func:`words_of_install` with the log of the guest's daemon."""
    return words_of_install(result, "" if result.exit_status == 0 else engine.daemon_log(guest))


def contexts(listed: str) -> dict[str, str]:
    """Whether each context is the current one, ``true`` or ``false``, of what `docker context ls
    --format "{{.Name}} {{.Current}}"` *listed*, besides whatever else it said."""
    found = (line.split() for line in listed.splitlines())
    return {words[0]: words[1] for words in found if len(words) == 2}


def error_of(result: ToolResult) -> str:
    """The first error that the tool gives, without its tag; empty for none."""
    tag = "[ERROR] "
    lines = [line for line in result.stderr.splitlines() if line.startswith(tag)]
    return lines[0].removeprefix(tag) if lines else ""


def refusal_of(result: ToolResult) -> str:
    """:func:`error_of` and the exit status."""
    return f"{error_of(result)}, exit {result.exit_status}"


def command_for(result: ToolResult, name: str) -> str:
    """What the block has root run to install *name*, in the words of requirements.py."""
    heading, _ = requirements.INSTRUCTIONS[name]
    _, found, rest = result.instructions.partition(f"{heading}\n")
    return rest.partition("\n")[0] if found else requirements.NO_COMMAND


def id_command(result: ToolResult, path: str) -> str:
    """What the block has root run to append to *path*, in the words of requirements.py."""
    found = [line for line in result.instructions.splitlines() if line.endswith(f">> {path}")]
    return found[0] if found else requirements.NO_COMMAND


def lines(output: str, of: Mapping[str, str] = said.INSTALL) -> list[str]:
    """Which lines *of* those that the tool may say there are, in the order of the *output*: by
    name, those of `install` unless others are given."""
    places = {
        name: found.start()
        for name, text in of.items()
        if (found := re.search(text, output, re.MULTILINE))
    }
    return sorted(places, key=places.__getitem__)


def exports(result: ToolResult) -> dict[str, str]:
    """The variables that `install` tells the user to export, as printed."""
    found = re.findall(r"^export (\w+)=(.*)$", result.stdout, re.MULTILINE)
    return dict(found)


def start_command(result: ToolResult) -> str:
    """The line that `install` prints to start the daemon by hand; empty for none."""
    _, _, rest = result.stdout.partition(f"{setuptool.BY_HAND}\n")
    return next((line.strip() for line in rest.splitlines() if line), "")


def without_runtime_directory(guest: Guest) -> tuple[str, ...]:
    """`env` and its words in front of a command of a session that has no XDG_RUNTIME_DIR, and from
    which the user's systemd, if there is one, is reached."""
    unset = ("env", "-u", "XDG_RUNTIME_DIR")
    if not guest.facts.user_session:
        return unset
    directory = guest.facts.xdg_runtime_dir
    assert directory, "the login has no runtime directory to take away"
    # The bus of a user manager that is older than the package of the bus is not there yet.
    guest.user.sh("systemctl --user daemon-reload && systemctl --user start dbus.socket")
    environment = (*unset, f"DBUS_SESSION_BUS_ADDRESS=unix:path={directory}/bus")
    guest.user.run(*environment, "systemctl", "--user", "show-environment")
    return environment


def context_host(guest: Guest) -> tuple[str, Result]:
    """Where the CLI context that `install` makes leads, and what told it."""
    told = guest.user.run("docker", "context", "inspect", "-f", "{{.Endpoints.docker.Host}}",
                          "rootless", check=False)  # fmt: skip
    return told.stdout.strip() or "no context", told


def hide(root: Session, name: str) -> str:
    """Take a program away from everybody.  Returns where it was: nowhere, if it is not there."""
    return root.sh(_HIDE, name).stdout.strip()


def show(root: Session, name: str) -> None:
    """Put back what :func:`hide` took."""
    root.sh(_SHOW, name)


def stand_in(root: Session, name: str) -> None:
    """Put a program that refuses and remembers in the place of *name*, and where PATH looks first
    if it is not there."""
    for path in hide(root, name).split() or [f"/usr/local/bin/{name}"]:
        if root.run("test", "-e", path, check=False).ok:
            continue  # /bin is /usr/bin
        root.write(path, f'#!/bin/sh\necho "{name} $*" >> {_ASKED}/{name}\nexit 1\n', 0o755)
    root.sh('mkdir -p "$1" && : > "$1/$2" && chmod 666 "$1/$2"', _ASKED, name)


def asked(root: Session, name: str) -> str:
    """With what the stand-in for *name* was called, a line each; empty for never."""
    return root.run("cat", f"{_ASKED}/{name}").stdout


def suite_layout(guest: Guest) -> str:
    """Undo the repair of the layout: only the package's own files stay.

    Returns the directory into which the package puts the setup tool.  Raises
    :class:`GuestRefusal` where there is none.
    """
    tool = guest.facts.setuptool
    if not tool:
        raise GuestRefusal(f"no package brings {setuptool.NAME}")
    directory = PurePosixPath(guest.root.run("readlink", "-f", tool).stdout.strip()).parent
    for name in (setuptool.NAME, "dockerd-rootless.sh"):
        link = str(PurePosixPath(tool).parent / name)
        if guest.root.run("test", "-L", link, check=False).ok:
            guest.root.run("rm", link)
    return str(directory)


def path_with(session: Session, directory: str) -> Mapping[str, str]:
    """PATH of the login with *directory* in front."""
    path = session.sh("echo $PATH").stdout.strip()
    return {"PATH": f"{directory}:{path}"}
