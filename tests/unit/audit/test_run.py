"""Watching and collecting, against sessions that answer from a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from harness.errors import GuestRefusal
from harness.guest.session import Session
from harness.rootless.audit import Evidence, audit, watch

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


def collected(machine: Scripted) -> Evidence:
    with watch(cast(Session, machine)) as watching:
        return Evidence.from_json(watching.collect(pid=7408, api_socket=SOCKET, user="tester"))


def test_what_is_asked_and_that_it_is_cleaned_up() -> None:
    machine = root()
    assert audit(collected(machine)).verdict == "rootless"
    assert ("kill", "42") in machine.asked
    assert ("rm", "-rf", "--", "/run/rootless-audit-x") in machine.asked
    request = json.loads(next(a[-1] for a in machine.asked if a[-1].startswith('{"pid"')))
    assert request == {
        "pid": 7408,
        "api_socket": SOCKET,
        "user": "tester",
        "directory": "/run/rootless-audit-x",
    }


def test_no_fanotify_is_inconclusive_not_an_error() -> None:
    machine = root(fanotify_init=Answer(stdout='{"error": "no fanotify"}'))
    report = audit(collected(machine))
    assert report.verdict == "inconclusive"
    assert report.test(5).why == "no fanotify"
    assert not any(argv[0] == "kill" for argv in machine.asked)


def test_a_container_that_has_ended() -> None:
    machine = root(NS_GET_PARENT=Answer(stdout='{"error": "no process 7"}'))
    with pytest.raises(GuestRefusal, match="no process 7"):
        collected(machine)
    assert ("kill", "42") in machine.asked
