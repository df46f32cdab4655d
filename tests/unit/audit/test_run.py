"""Watching and collecting, against sessions that answer from a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import GuestRefusal, TestbedError
from harness.rootless.audit import audit_docker, container_pid, watch

RECORDED = (Path(__file__).parent / "data" / "rootless.json").read_text()
SOCKET = "/run/user/1000/docker.sock"


@dataclass(frozen=True)
class Answer:
    exit_status: int = 0
    stdout: str = ""
    stderr: str = ""


@dataclass
class Scripted:
    """Answers by a word of the command line or of the script; remembers what was asked."""

    answers: Mapping[str, Answer]
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def run(
        self,
        *argv: str,
        input: str | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Answer:
        self.asked.append(argv)
        for word, answer in self.answers.items():
            if word in argv or word in (input or ""):
                return answer
        return Answer()


def root(**answers: Answer) -> Scripted:
    started = {"directory": "/run/rootless-audit-x", "pid": 42, "unwatched": []}
    usual = {"fanotify_init": Answer(stdout=json.dumps(started))}
    return Scripted({**usual, "NS_GET_PARENT": Answer(stdout=RECORDED), **answers})


def client(run: Answer = Answer(stdout="id\n"), pid: str = "7408\n") -> Scripted:
    return Scripted({"run": run, "inspect": Answer(stdout=pid)})


def test_a_whole_audit_cleans_up() -> None:
    machine, docker = root(), client()
    report = audit_docker(machine, docker, user="tester", api_socket=SOCKET, subject="here")
    assert (report.verdict, report.subject) == ("rootless", "here")
    assert docker.asked[-1][3:5] == ("rm", "-f")
    assert ("kill", "42") in machine.asked
    request = json.loads(next(a[-1] for a in machine.asked if a[-1].startswith('{"pid"')))
    assert request == {
        "pid": 7408,
        "api_socket": SOCKET,
        "user": "tester",
        "directory": "/run/rootless-audit-x",
    }


def test_the_daemon_is_started_under_watch() -> None:
    machine = root()
    order: list[int] = []
    audit_docker(
        machine,
        client(),
        user="tester",
        api_socket=SOCKET,
        start=lambda: order.append(len(machine.asked)),
    )
    assert order == [1]


def test_no_fanotify_is_inconclusive_not_an_error() -> None:
    machine = root(fanotify_init=Answer(stdout='{"error": "no fanotify"}'))
    report = audit_docker(machine, client(), user="tester", api_socket=SOCKET)
    assert report.verdict == "inconclusive"
    assert report.test(5).why == "no fanotify"
    assert not any(argv[0] == "kill" for argv in machine.asked)


def test_a_container_that_does_not_start() -> None:
    docker = client(run=Answer(125, stderr="no such image"))
    with pytest.raises(GuestRefusal, match="docker run refused"):
        audit_docker(root(), docker, user="tester", api_socket=SOCKET)
    assert docker.asked[-1][3:5] == ("rm", "-f")


def test_a_container_that_has_ended() -> None:
    with pytest.raises(GuestRefusal, match="does not run"):
        container_pid(client(pid="0\n"), SOCKET, "c")
    gone = root(NS_GET_PARENT=Answer(stdout='{"error": "no process 7"}'))
    with watch(gone) as watching, pytest.raises(GuestRefusal, match="no process 7"):
        watching.audit(pid=7, api_socket=SOCKET, user="tester")


def test_the_socket_is_a_path() -> None:
    with pytest.raises(TestbedError):
        container_pid(client(), "unix:///run/docker.sock", "c")
