"""A guest: a running machine with its logins, its facts and its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import paramiko
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception,
    retry_if_result,
    stop_after_delay,
    wait_chain,
    wait_fixed,
)

from harness.errors import GuestRefusal, HarnessError, TestbedError
from harness.guest import clock, guest_health, load, logins, standstill
from harness.guest.connection import Connection, refused
from harness.guest.facts import Facts
from harness.guest.keys import Identity
from harness.guest.probe import probe, run_script, script
from harness.guest.session import CommandTimeout
from harness.hypervisor.console import EMERGENCY
from harness.hypervisor.machine import Machine

SSH_SECONDS = 60.0  # from power-on to an answer, with hardware acceleration
BOOT_SECONDS = 60.0  # from that answer until systemd has started what it starts
BOOTING = ("initializing", "starting")
OFTEN, SELDOM = 50, 3.0  # polls, and seconds between the later ones
CMDLINE_FILE = "/etc/kernel/cmdline"
_NOT_YET = (OSError, EOFError, paramiko.SSHException)  # what a guest without sshd answers with


@dataclass(frozen=True)
class Access:
    """What is needed to enter guests made from one seed."""

    identity: Identity
    host_key: str  # public line, pinned
    user: str


class Guest:
    """Enter through :attr:`user` (a login session, as a person would have) and :attr:`root`.

    Each is one SSH connection, opened at first use and kept.
    """

    def __init__(
        self, cell: str, machine: Machine, access: Access, *, scale: float,
        facts: Facts | None = None, altered: bool = False,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """*altered*: on purpose, so that what it lacks may be what it was deprived of."""
        self.cell = cell
        self.machine = machine
        self.access = access
        self.scale = scale
        self.altered = altered
        self.ended = False
        self._facts = facts
        self._on_end = on_end
        self._connections: dict[str, Connection] = {}

    @property
    def user(self) -> Connection:
        return self._login(self.access.user)

    @property
    def root(self) -> Connection:
        return self._login("root")

    @property
    def facts(self) -> Facts:
        """The facts as the state was saved with, or as first probed.  See :meth:`probe`."""
        return self._facts or self.probe()

    def probe(self) -> Facts:
        """Read the facts anew, after something was changed."""
        self._facts = probe(self.user, self.root, self.access.user, self.scale)
        return self._facts

    def _login(self, user: str) -> Connection:
        connection = self._connections.get(user)
        if connection is None or not connection.alive:
            connection = self._connect(user, 15.0)
            self._connections[user] = connection
        return connection

    def new_login(self, user: str | None = None) -> Connection:
        """One more login session, for what only a fresh login shows.  The caller closes it."""
        return self._connect(user or self.access.user, 15.0)

    def _connect(self, user: str, seconds: float) -> Connection:
        """Keep trying for *seconds* (scaled); the console ends the wait when it says why."""
        limit, waited = seconds * self.scale, standstill.Stopwatch()

        def may_change(error: BaseException) -> bool:
            final = self._let_in_before(user) and refused(error)
            return isinstance(error, _NOT_YET) and not (final and waited.seconds > limit / 3)

        retrying = Retrying(
            stop=stop_after_delay(limit), wait=wait_fixed(0.2), reraise=True,
            retry=retry_if_exception(may_change), before=lambda _: self.check_alive(),
        )  # fmt: skip
        try:
            return retrying(
                Connection, user, self.machine.spec.ssh_port, self.access.identity,
                self.access.host_key, scale=self.scale, watch=self.check_alive,
            )  # fmt: skip
        except _NOT_YET as error:
            self.check_alive()
            if self._let_in_before(user):
                late = CommandTimeout("a login", waited=waited.seconds)
                self._connect("root", seconds).close()  # the control: it is not SSH that is broken
                if refused(error):
                    raise logins.refused(self.root, user) from error
                asked = isinstance(error, paramiko.AuthenticationException)
                if asked and (idle := self.idle(late)):
                    raise logins.endless(self.root, user, idle) from error
            raise self.broken(
                f"no SSH answer for {user} within {limit:.0f} s ({type(error).__name__}: {error})"
            ) from error

    def _let_in_before(self, user: str) -> bool:
        """Whether *user* was let in when the facts were read, on this guest or on the one that its
        state was made of: then it is not the seed that lets nobody in."""
        return user == self.access.user and self._facts is not None

    def check_alive(self) -> None:
        """Raise :class:`TestbedError` when the console or QEMU says that the guest has died, and
        :class:`GuestRefusal` when what was altered on purpose lets its init go no further."""
        fatal = self.machine.console.fatal()
        if fatal and self.altered and fatal.startswith(EMERGENCY):
            raise GuestRefusal(f"{self.cell}: {fatal}", detail=self.machine.console.tail())
        if fatal:
            raise self.broken(fatal)
        if not self.machine.running:
            raise self.broken("QEMU ended")
        if self.machine.paused:
            error = self.broken("the guest is paused: is the host's disk full?")
            error.hint = "free space where the guest writes"
            error.command = f"df -h {self.machine.spec.disk.parent.parent}"
            raise error

    def check_health(self) -> None:
        """Raise :class:`TestbedError` where the guest has run out of room or memory, or its disk
        fails: then what it shows is none of its distro's doing.  Asked before a finding counts."""
        signs = guest_health.DISK_FAILS
        lacking = []
        if not self.altered:
            signs += f"|{guest_health.OUT_OF_MEMORY}"
            try:
                lacking = run_script(self.root, script("guest_health.py"), self.access.user)
            except CommandTimeout as error:
                raise self.broken(f"it does not say what it lacks: {error.what}") from error
        lacking += guest_health.kernel_says(self.machine.console.text(), signs)
        if lacking:
            raise self.broken("; ".join(dict.fromkeys(lacking)))

    def broken(self, what: str) -> TestbedError:
        """The error for a guest that cannot be reached, with its console's tail."""
        console = self.machine.console
        return TestbedError(
            f"{self.cell}: {what}",
            hint="read the console; enter the guest by hand",
            command=f"harness shell {self.cell} --state booted",
            detail=f"console ({console.path}):\n{console.tail()}",
        )

    def wait_answer(self) -> None:
        """Wait for the first answered command after power-on."""
        self._connections["root"] = self._connect("root", SSH_SECONDS)
        self.root.run("true")

    def wait_booted(self) -> None:
        """Wait for the first answer over SSH and for systemd to settle."""
        self.wait_answer()
        # "degraded" is a fact about the guest, not a reason to stop.
        asked = ("systemctl", "is-system-running")
        said = self.root.run(*asked, "--wait", timeout=BOOT_SECONDS, check=False).stdout.strip()
        if said in ("", *BOOTING):  # systemd before 240 does not wait, and may refuse to
            self.wait_until(
                lambda: self.root.run(*asked, check=False).stdout.strip() not in BOOTING,
                "the end of the boot", BOOT_SECONDS, 1.0,
            )  # fmt: skip

    def wait_until(
        self, ready: Callable[[], bool], what: str, seconds: float, pause: float = 0.2
    ) -> None:
        """Poll *ready* for at most *seconds* (scaled).  Raises :class:`CommandTimeout`.

        Soon it asks less often: a guest that is asked all the time never idles, and whether one
        does tells a thing that hangs from a host that is slow.
        """
        limit, waited = seconds * self.scale, standstill.Stopwatch()
        retrying = Retrying(
            stop=lambda _: waited.seconds >= limit, sleep=standstill.sleep,
            wait=wait_chain(*[wait_fixed(pause)] * OFTEN, wait_fixed(max(pause, SELDOM))),
            retry=retry_if_result(lambda done: not done), before=lambda _: self.check_alive(),
        )  # fmt: skip
        try:
            retrying(ready)
        except RetryError as error:
            raise CommandTimeout(
                f"{what} did not come within {limit:.0f} s", waited=waited.seconds
            ) from error

    def idle(self, late: CommandTimeout) -> str:
        """That the guest had nothing to do while it was waited for what was *late*, or nothing.

        A guest that the host is too slow for is busy as it sees itself, and one whose disk is slow
        counts who waits for that: then nothing is said about the distro.  One that idles hangs.
        """
        try:
            now = load.of(self.root.read(load.FILE))
        except HarnessError:
            return ""
        if not load.idle(now, late.waited):
            return ""
        return f"the guest answers, and was idle: {now:.2f} tasks at work in the last minute"

    @property
    def takes_cmdline(self) -> bool:
        """Whether the kernel's arguments are ours to give; else a boot loader in the guest has
        them."""
        return not self.machine.spec.firmware

    def reboot(self) -> None:
        """Power the guest off and on again, and wait for it.

        Where the kernel is booted directly, its arguments are not in a boot loader; the guest's
        /etc/kernel/cmdline, where it exists, is what it boots with next.  See
        :attr:`takes_cmdline`.
        """
        cmdline = self.machine.spec.cmdline
        if self.takes_cmdline:
            wanted = self.root.run("cat", CMDLINE_FILE, check=False)
            if wanted.ok and wanted.stdout.strip():
                cmdline = wanted.stdout.strip()
        # What was written must not be lost with a guest that dies on the way.
        self.root.run("sync", timeout=60)
        self.check_alive()
        # The connection may break before the answer comes.
        with contextlib.suppress(TestbedError, CommandTimeout):
            self.root.run("systemctl", "poweroff", "--no-wall", check=False, timeout=20)
        self.disconnect()
        self.machine.power_cycle(cmdline, 30 * self.scale)
        self.wait_booted()

    def prepare_save(self, warm: tuple[str, ...] = ()) -> bool:
        """Make the guest ready to be saved: small, with the programs *warm* in its page cache,
        and listening for the time, if it can: that is the answer."""
        listens = clock.start_listener(self.root)
        # What an installation read is of no use again; what every scenario runs is.
        self.root.sh(
            "sync; echo 3 > /proc/sys/vm/drop_caches; PATH=$PATH:/usr/sbin; "
            'for name; do file=$(command -v "$name") && cat "$file" > /dev/null; done; true',
            *warm,
        )
        root = self._connections.pop("root", None)
        if root is not None:
            root.close()
        # The user's login stays: it keeps the user's systemd alive in the saved state.
        return listens

    def thaw(self, listens: bool = True) -> None:
        """After a restore: the time of day, and entropy of its own."""
        if listens:
            self.machine.thaw(10 * self.scale)
        else:
            clock.tell(self.root)

    def disconnect(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def end(self) -> None:
        """End the machine and remove its disk."""
        self.ended = True
        self.machine.end()
        self.disconnect()
        self._on_end()

    @property
    def console_path(self) -> Path:
        return self.machine.console.path
