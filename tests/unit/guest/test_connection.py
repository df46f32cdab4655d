"""A connection to a server that freezes, breaks down, or tells of a signal."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_REQUEST

from harness.errors import TestbedError
from harness.guest import keys, standstill
from harness.guest.connection import Connection
from harness.guest.session import NO_STATUS, CommandFailed

AUTH_SUCCESSFUL = OPEN_SUCCEEDED = 0
PATIENCE = 20.0  # seconds after which a frozen server goes on: a bound against hanging for ever


class Server(paramiko.ServerInterface):
    """Lets everybody in, opens channels, and does *act* with that of a command, once it is told
    that the command begins; *frozen*: says nothing to one."""

    def __init__(self) -> None:
        self.thawed = threading.Event()
        self.frozen = False
        self.act: Callable[[paramiko.Channel], object] = lambda _: None

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self.frozen:
            self.thawed.wait(PATIENCE)
        else:
            threading.Thread(target=self._begin, args=(channel,), daemon=True).start()
        return True

    def _begin(self, channel: paramiko.Channel) -> None:
        channel.recv(1)  # its end: the client has begun to wait
        self.act(channel)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def connection(server: Server, tmp_path: Path) -> Iterator[Connection]:
    host_key = keys.new_host_key()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            transport = paramiko.Transport(listening.accept()[0])
            transport.add_server_key(
                paramiko.Ed25519Key.from_private_key(StringIO(host_key.private))
            )
            transport.start_server(server=server)

        serving = threading.Thread(target=serve)
        serving.start()
        made = Connection(
            "root", listening.getsockname()[1], keys.new_identity(tmp_path, ["root"]),
            host_key.public, scale=1.0, watch=lambda: None,
        )  # fmt: skip
        yield made
        server.thawed.set()
        made.close()
        serving.join()


def end_by_signal(channel: paramiko.Channel) -> None:
    """What sshd sends of a command that a signal ended (RFC 4254, 6.10)."""
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exit-signal")
    message.add_boolean(False)
    message.add_string("KILL")
    message.add_boolean(False)
    message.add_string("")
    message.add_string("")
    channel.get_transport()._send_user_message(message)  # type: ignore[attr-defined]
    channel.close()


def end(channel: paramiko.Channel) -> None:
    channel.send_exit_status(0)
    channel.close()


def test_a_command_that_is_never_begun_is_the_test_beds_fault(
    server: Server, connection: Connection
) -> None:
    server.frozen = True
    with pytest.raises(TestbedError, match="broke during `true`: no answer within"):
        connection.run("true", timeout=0.5)
    assert not connection.alive


@pytest.mark.parametrize("check", [True, False])
def test_a_connection_that_ends_in_mid_command_is_the_test_beds_fault(
    server: Server, connection: Connection, check: bool
) -> None:
    """As when QEMU is killed: the socket closes, and no word comes of the command."""
    server.act = lambda channel: channel.get_transport().sock.close()
    with pytest.raises(TestbedError, match="broke during `sleep 9`"):
        connection.run("sleep", "9", check=check)


def test_a_signal_that_ends_a_command_is_the_guests(server: Server, connection: Connection) -> None:
    server.act = end_by_signal
    assert connection.run("sleep", "9", check=False).exit_status == NO_STATUS
    with pytest.raises(CommandFailed, match="was ended by a signal"):
        connection.run("sleep", "9")


def test_a_command_that_does_not_read_says_why(server: Server, connection: Connection) -> None:
    """As tar on a full disk."""

    def refuse(channel: paramiko.Channel) -> None:
        channel.send_stderr(b"no room")
        channel.send_exit_status(2)
        channel.close()

    server.act = refuse
    result = connection.run("tar", "-x", input=bytes(8 << 20), check=False)
    assert (result.exit_status, result.stderr) == (2, "no room")


def test_time_in_which_this_process_stood_still_is_nobodys(
    server: Server, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the host is suspended, and the guest with it."""
    ending = threading.Event()
    looks = iter([lambda: time.sleep(4), ending.set])
    server.act = lambda channel: end(channel) if ending.wait(PATIENCE) else None
    connection._watch = lambda: next(looks, lambda: None)()
    monkeypatch.setattr(standstill, "SECONDS", 1.0)
    assert connection.run("true", timeout=4).ok
