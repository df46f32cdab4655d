"""Who gets through to a container engine: sockets of this machine stand in for a guest's."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.rootless import guest_answers

PONG = b"HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK"
OTHER = b"HTTP/1.0 200 OK\r\nServer: httpd\r\n\r\nOK"


def serve(listener: socket.socket, answer: bytes) -> socket.socket:
    def answer_one() -> None:
        client, _ = listener.accept()
        client.recv(4096)
        client.sendall(answer)
        client.close()

    listener.listen()
    threading.Thread(target=answer_one, daemon=True).start()
    return listener


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "docker.sock"))
        listener.listen()
        yield listener


def test_a_socket_that_listens_and_who_has_it(listener: socket.socket) -> None:
    inodes = guest_answers.sockets()[listener.getsockname()]
    assert {uid for inode in inodes for uid in guest_answers.holders()[inode]} == {os.getuid()}
    assert guest_answers.reached([listener.getsockname()]) == [listener.getsockname()]
    Path(listener.getsockname()).unlink()
    assert guest_answers.reached([listener.getsockname()]) == []


def test_an_engine_answers_on_whatever_socket(listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as port:
        asked = [(listener.family, listener.getsockname()), (port.family, port.getsockname())]
        assert asked[1] in guest_answers.ports()
        serve(listener, PONG)
        serve(port, PONG)
        assert guest_answers.answering(asked) == [address for _, address in asked]


def test_an_abstract_socket_is_asked_like_any() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0harness-{os.getpid()}")
        serve(listener, PONG)
        name = f"@harness-{os.getpid()}"
        assert name in guest_answers.sockets()
        assert guest_answers.answering(guest_answers.unix([name])) == [name]


def test_others_that_answer_are_no_engine(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_answers, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        serve(listener, OTHER)
        asked = [(listener.family, listener.getsockname()), (silent.family, silent.getsockname())]
        assert guest_answers.answering(asked) == []
