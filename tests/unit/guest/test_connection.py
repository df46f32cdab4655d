"""A connection to a server that freezes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import paramiko
import pytest

from harness.errors import TestbedError
from harness.guest import keys
from harness.guest.connection import Connection

AUTH_SUCCESSFUL = OPEN_SUCCEEDED = 0
PATIENCE = 20.0  # seconds after which a frozen server goes on: a bound against hanging for ever


class Frozen(paramiko.ServerInterface):
    """Lets everybody in, opens channels, and says nothing to a command."""

    def __init__(self) -> None:
        self.thawed = threading.Event()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.thawed.wait(PATIENCE)
        return True


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Connection]:
    host_key, server = keys.new_host_key(), Frozen()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            transport = paramiko.Transport(listening.accept()[0])
            transport.add_server_key(
                paramiko.Ed25519Key.from_private_key(StringIO(host_key.private))
            )
            transport.start_server(server=server)

        serving = threading.Thread(target=serve)
        serving.start()
        connection = Connection(
            "root", listening.getsockname()[1], keys.new_identity(tmp_path, ["root"]),
            host_key.public, scale=1.0, watch=lambda: None,
        )  # fmt: skip
        yield connection
        server.thawed.set()
        connection.close()
        serving.join()


def test_a_command_that_is_never_begun_is_the_test_beds_fault(frozen: Connection) -> None:
    with pytest.raises(TestbedError, match="broke during `true`: no answer within"):
        frozen.run("true", timeout=0.5)
    assert not frozen.alive
