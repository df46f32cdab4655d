"""``harness shell``: a guest to look around in, gone when you leave it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

import click

from harness.commands.common import accel_option, cache_option, libvirt_option, one_cell
from harness.commands.face import end_as_ctrl_c, say
from harness.distros import registry
from harness.errors import GuestRefusal, TestbedError, UsageError
from harness.guest.guest import Guest
from harness.image.choose import CHOICES
from harness.paths import cache
from harness.rootless.housekeeping import SHELLS, passing
from harness.rootless.ladder import STATES
from harness.rootless.options import Options

# The cheapest there are: under emulation the handshake is most of the time to a prompt.
CHEAP = (
    "KexAlgorithms=curve25519-sha256", "HostKeyAlgorithms=ssh-ed25519", "Ciphers=aes128-ctr",
    "MACs=hmac-sha2-256", "Compression=no",
)  # fmt: skip
BROKEN = 255  # the client's own status, when it lost the guest


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": True})
@click.argument("cell")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option("--state", type=click.Choice(STATES), default="daemon", show_default=True,
              help="booted: as the image is; prepared: engine and helpers installed; daemon: the "
                   "rootless daemon runs")
@click.option("--user", type=click.Choice(("tester", "root")), default="tester",
              show_default=True, help="who enters")
@click.option("--hook", "hooks", multiple=True, metavar="STATE:SCRIPT",
              help="run SCRIPT as root when STATE is made (repeatable)")
@click.option("--induce", "induced", multiple=True, metavar="STATE:TRAIT=VALUE",
              help="give the guest this value of a trait when STATE is made (repeatable)")
@click.option("--withhold", "withheld", multiple=True, metavar="HINT",
              help="prepare the guest without this hint of its documents (repeatable)")
@click.option("--kernel-args", default="", metavar="TEXT",
              help="append to the guest's kernel command line")
@click.option("--image-source", type=click.Choice(CHOICES), default="auto", show_default=True,
              help="auto: the distro's own image where it was fetched, else a built one")
@click.option("--memory", default=2048, show_default=True, metavar="MIB",
              type=click.IntRange(256), help="memory of the guest")
@accel_option
@libvirt_option
@cache_option
def shell(
    cell: str, command: tuple[str, ...], state: str, user: str, hooks: tuple[str, ...],
    induced: tuple[str, ...], withheld: tuple[str, ...], kernel_args: str, image_source: str,
    memory: int, accel: str, libvirt_uri: str, cache_dir: str | None,
) -> int:  # fmt: skip
    """Enter a guest of CELL, or run COMMAND in it.

    The guest is restored from a saved state, which is made first where it is missing.  It is
    yours alone, and ends with the shell; nothing you do in it stays.

    \b
    Examples:
      harness shell debian-12/x86_64
      harness shell debian-12/x86_64 --state booted --user root
      harness shell debian-12/x86_64 -- docker info
      harness shell debian-12/x86_64 -- 'docker ps | wc -l'
      harness shell debian-12/x86_64 --hook prepared:break-it.sh
      harness shell debian-12/x86_64 --state prepared --induce prepared:newuidmap=powerless

    Several words of COMMAND are passed on as they are; a single one is a line for the guest's
    shell.  The exit status is the command's.
    """
    from harness.session.options import check_withheld, parse_hooks, parse_induced
    from harness.session.run import new_id

    chosen = one_cell(
        cell, cache_dir=cache_dir, source=image_source, kernel_arguments=kernel_args
    )
    place = cache(cache_dir)
    name = new_id()
    options = Options(
        cache=place, run_id=name, run_dir=place.root / SHELLS / name, uri=libvirt_uri, accel=accel,
        hooks=parse_hooks(hooks), induced=parse_induced(induced),
        withheld=check_withheld(withheld, [registry.of(chosen)]),
        kernel_arguments=kernel_args, image_source=image_source, memory=memory, progress=say,
    )  # fmt: skip
    check_reached(state, options)
    _need_client()
    end_as_ctrl_c()
    with passing(options) as lab:
        for lease in lab.leases.reap():
            say(f"ended {lease.name}, left behind by a process that died")
        try:
            guest = lab.guest(chosen, registry.of(chosen), state)
        except GuestRefusal as refusal:
            lower = STATES[max(0, STATES.index(state) - 1)]
            refusal.hint = f"its journal is in {lab.logs(chosen)}; enter the state below"
            refusal.command = f"harness shell {cell} --state {lower}"
            raise
        say(f"{chosen} at state {state}, as {user}; it ends when you leave")
        say(f"  console: {guest.console_path}")
        say(f"  logs:    {lab.logs(chosen)}")
        status = subprocess.run(client(guest, user, command), check=False).returncode
        if status == BROKEN:
            _why_lost(guest)
        return status


def check_reached(state: str, options: Options) -> None:
    """Raise :class:`UsageError` where an option alters a state above *state*."""
    altered = {
        "--hook": options.hooks, "--induce": options.induced,
        "--withhold": ("prepared",) if options.withheld else (),
    }  # fmt: skip
    for option, states in altered.items():
        for late in states:
            if STATES.index(late) > STATES.index(state):
                raise UsageError(
                    f"{option} alters the state {late}, which --state {state} never reaches",
                    hint=f"take --state {late}",
                )


def client(guest: Guest, user: str, command: Sequence[str]) -> list[str]:
    """The OpenSSH client's command line: this run's key, and only the host key of the seed."""
    spec = guest.machine.spec
    key, known = spec.disk.parent / "id", spec.disk.parent / "known_hosts"
    guest.access.identity.write(key)
    known.write_text(f"[127.0.0.1]:{spec.ssh_port} {guest.access.host_key}\n")
    options = (
        *CHEAP, f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=none",
        "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "IdentityAgent=none",
        "PreferredAuthentications=publickey", "LogLevel=ERROR",
        f"ConnectTimeout={max(1, int(15 * guest.scale))}",
    )  # fmt: skip
    words = ["ssh", "-F", "none", "-i", str(key), "-p", str(spec.ssh_port)]
    for option in options:
        words += ["-o", option]
    if command and sys.stdin.isatty() and sys.stdout.isatty():
        words.append("-t")
    login = guest.access.user if user != "root" else "root"
    return [*words, f"{login}@127.0.0.1", *remote(command)]


def remote(command: Sequence[str]) -> list[str]:
    """The client joins words with spaces for the guest's shell: quote them, unless it is a line."""
    return list(command) if len(command) < 2 else [shlex.join(command)]


def _why_lost(guest: Guest) -> None:
    """Raise where the guest died; say so where it was told to power off."""
    fatal = guest.machine.console.fatal()
    if fatal:
        raise guest.broken(fatal)
    if not guest.machine.running:
        say("the guest has ended")


def _need_client() -> None:
    if shutil.which("ssh") is None:
        raise TestbedError("ssh is not installed, and entering a guest needs it",
                           hint="install the package openssh-client", command="make bootstrap")
