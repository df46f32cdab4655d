"""One SSH connection for the life of a guest; commands are channels of it.

The algorithms are chosen for cheapness: under emulation the guest's share of the handshake is
most of the time to a first answer.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping

import paramiko

from harness.errors import TestbedError
from harness.guest import standstill
from harness.guest.keys import Identity
from harness.guest.session import NO_STATUS, CommandFailed, CommandTimeout, Result

_KEX = ("curve25519-sha256@libssh.org",)
_CIPHERS = ("aes128-ctr",)
_DIGESTS = ("hmac-sha2-256",)
DEFAULT_TIMEOUT = 30.0  # seconds with hardware acceleration
CONTROL_SECONDS = 10.0  # the same


def _wait_slice(waited: float) -> float:
    """Short naps first: most commands answer within tenths of a second."""
    return 0.002 if waited < 0.5 else 0.02


# Also said where sshd hangs up in the middle of it, as it does on what PAM has against the account.
_REFUSED = "Authentication failed"


def refused(error: BaseException) -> bool:
    """Whether the server would not have the user: not that it is slow, or gone."""
    return isinstance(error, paramiko.AuthenticationException) and (
        isinstance(error, paramiko.BadAuthenticationType) or str(error).startswith(_REFUSED)
    )


class Connection:
    """A login of one user.  ``watch`` is asked, while waiting, whether the guest has died."""

    def __init__(
        self, user: str, port: int, identity: Identity, host_key: str, *,
        scale: float, watch: Callable[[], None],
    ) -> None:  # fmt: skip
        self.user = user
        self._scale = scale
        self._watch = watch
        self._transport = self._open(port, identity, host_key)

    def _open(self, port: int, identity: Identity, host_key: str) -> paramiko.Transport:
        stream = socket.create_connection(("127.0.0.1", port), timeout=5 * self._scale)
        transport = paramiko.Transport(stream)
        try:
            options = transport.get_security_options()
            options.kex, options.ciphers, options.digests = _KEX, _CIPHERS, _DIGESTS
            options.key_types = ("ssh-ed25519",)
            transport.banner_timeout = 5 * self._scale
            transport.auth_timeout = 5 * self._scale
            transport.handshake_timeout = max(5 * self._scale, transport.handshake_timeout)
            transport.start_client(timeout=5 * self._scale)
            pinned = paramiko.Ed25519Key(data=b64decode(host_key.split()[1]))
            if transport.get_remote_server_key() != pinned:
                raise TestbedError(
                    f"the SSH host key on port {port} is not the one in the guest's seed",
                    hint="something else answers on that port of 127.0.0.1",
                    command=f"ss -ltnp 'sport = :{port}'",
                )
            transport.auth_publickey(self.user, identity.pkey())
        except BaseException:
            transport.close()
            raise
        return transport

    @property
    def alive(self) -> bool:
        return self._transport.is_active()

    def run(
        self, *argv: str, input: str | bytes | None = None, env: Mapping[str, str] | None = None,
        timeout: float | None = None, check: bool = True,
    ) -> Result:  # fmt: skip
        """See :meth:`harness.guest.session.Session.run`."""
        words = ["env", *(f"{k}={v}" for k, v in env.items()), *argv] if env else list(argv)
        started = time.monotonic()
        limit = (timeout or DEFAULT_TIMEOUT) * self._scale
        try:
            channel = self._transport.open_session(timeout=limit)
            with self._answer_within(limit):
                channel.exec_command(shlex.join(words))
            result = self._collect(channel, argv, input, started, limit)
        except (paramiko.SSHException, OSError, EOFError) as error:
            self._watch()  # a panic explains a lost connection better
            late = f"no answer within {limit:.0f} s" if time.monotonic() - started > limit else ""
            raise TestbedError(
                f"the SSH connection of {self.user} broke during `{shlex.join(argv)[:120]}`: "
                f"{late or error or type(error).__name__}",
                hint="look at the guest's console",
            ) from error
        if check and not result.ok:
            raise CommandFailed(result)
        return result

    @contextlib.contextmanager
    def _answer_within(self, seconds: float) -> Iterator[None]:
        """End the connection after *seconds*: paramiko waits for some answers for ever."""
        bound = threading.Timer(seconds, self._transport.close)
        bound.daemon = True
        bound.start()
        try:
            yield
        finally:
            bound.cancel()

    def _collect(
        self, channel: paramiko.Channel, argv: tuple[str, ...], input: str | bytes | None,
        started: float, limit: float,
    ) -> Result:  # fmt: skip
        with contextlib.suppress(OSError):  # of a command that ended before it had read all
            if input is not None:
                channel.settimeout(limit)
                channel.sendall(input.encode() if isinstance(input, str) else input)
            channel.shutdown_write()
        if not self._transport.is_active():
            raise EOFError("it ended while the command was given its input")
        out, err = bytearray(), bytearray()
        waited, looked = standstill.Stopwatch(), time.monotonic()
        watched = looked
        while True:
            finished = channel.exit_status_ready() and (channel.eof_received or channel.closed)
            while channel.recv_ready():
                out += channel.recv(1 << 16)
            while channel.recv_stderr_ready():
                err += channel.recv_stderr(1 << 16)
            if finished:
                break
            now = time.monotonic()
            standstill.noticed(now - looked)
            looked = now
            if waited.seconds > limit:
                channel.close()
                said = (out + err).decode(errors="replace")[-1500:]
                raise CommandTimeout(
                    f"`{shlex.join(argv)[:160]}` did not end within {limit:.0f} s",
                    hint="the guest may be overloaded; look at its console and journal",
                    detail=said, waited=waited.seconds,
                )  # fmt: skip
            if now - watched > 1:
                self._watch()
                watched = now
            time.sleep(_wait_slice(now - started))
        status = channel.recv_exit_status()
        channel.close()
        if status == NO_STATUS:
            self._control()
        return Result(
            tuple(argv), status, out.decode(errors="replace"), err.decode(errors="replace"),
            time.monotonic() - started,
        )  # fmt: skip

    def _control(self) -> None:
        """Raise where it is the connection that ended, and not a signal the command: paramiko
        gives both the same status, and notices the one a moment late."""
        self._watch()
        self._transport.open_session(timeout=CONTROL_SECONDS * self._scale).close()

    def sh(
        self, script: str, *args: str, input: str | bytes | None = None,
        env: Mapping[str, str] | None = None, timeout: float | None = None, check: bool = True,
    ) -> Result:  # fmt: skip
        """See :meth:`harness.guest.session.Session.sh`."""
        return self.run(
            "sh", "-c", script, "sh", *args, input=input, env=env, timeout=timeout, check=check
        )

    def read(self, path: str) -> str:
        return self.run("cat", "--", path).stdout

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        self.run("install", "-D", "-m", f"{mode:o}", "/dev/stdin", path, input=text)

    def close(self) -> None:
        self._transport.close()
