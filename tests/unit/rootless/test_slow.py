"""Deadlines of the engine's own: not the guest's fault by themselves."""

from __future__ import annotations

from typing import Any, cast

import pytest

from harness.errors import TestbedError
from harness.guest.session import CommandFailed, CommandTimeout, Result, Session
from harness.rootless import rootful, slow
from harness.rootless.engine import Docker

# As dockerd of 20.10 and containerd 1.6 say it.
LATE = "failed to start containerd: timeout waiting for containerd to start"
SYSTEMS = (
    'failed to start daemon: failed to dial "/run/containerd/containerd.sock": failed to dial '
    '"/run/containerd/containerd.sock": context deadline exceeded: connection error'
)
HELD = 'level=warning msg="waiting for response from boltdb open" plugin=bolt'
STARTS = 'level=info msg="starting containerd" revision=1'
BOOTED = 'level=info msg="containerd successfully booted in 2.364176s"'
UP = 'level=info msg="API listen on /run/user/1000/docker.sock"'


@pytest.mark.parametrize(
    ("lines", "late"),
    [
        ((), False),
        ((LATE,), True),
        ((SYSTEMS,), True),
        ((HELD, LATE), False),
        ((HELD, LATE, LATE), True),
        (('level=info msg="containerd is still running" module=libcontainerd', LATE), False),
        ((STARTS, BOOTED, LATE), False),
        ((STARTS, BOOTED, UP, STARTS, LATE), True),
        ((STARTS, BOOTED, STARTS, LATE), True),
        ((STARTS, LATE, STARTS, BOOTED, LATE), True),
        ((STARTS, BOOTED.replace("2.3", "12.3"), LATE), True),
        ((LATE, UP), False),
        ((LATE, UP, LATE), True),
        (("error: context deadline exceeded", "/run/containerd/containerd.sock"), False),
    ],
)
def test_a_containerd_that_was_late(lines: tuple[str, ...], late: bool) -> None:
    assert slow.late_containerd("\n".join(lines)) is late


def test_a_containerd_that_never_said_a_word_is_not_slow() -> None:
    assert slow.slow_starts(LATE) == 0
    assert slow.slow_starts(f"{STARTS}\n{LATE}") == slow.slow_starts(SYSTEMS) == 1
    assert slow.slow_starts(f"{STARTS}\n{BOOTED}\n{LATE}\n{STARTS}\n{LATE}") == 1


class Saying:
    """A session in which every command fails with these words."""

    def __init__(self, stderr: str) -> None:
        self.stderr = stderr

    def run(self, *argv: str, **_: object) -> Result:
        return Result(argv, 1, "", self.stderr, 20.0)


@pytest.mark.parametrize(
    "stderr",
    [
        "docker: Error response from daemon: attaching to network failed, make sure your network"
        " options are correct and check manager logs: context deadline exceeded.",
        "Error response from daemon: Timeout was reached before node joined: before timeout was"
        " reached",
        "docker: Error response from daemon: unable to apply cgroup configuration: Timeout waiting"
        " for systemd to create docker-1.scope",
    ],
)
def test_what_the_engine_gave_up_is_late_and_no_refusal(stderr: str) -> None:
    docker = Docker(cast(Session, Saying(stderr)))
    for check in (True, False):
        with pytest.raises(CommandTimeout) as caught:
            docker("run", "busybox", check=check)
        assert caught.value.waited == 20.0
    assert not docker.answers()


def test_what_the_engine_refused_is_a_refusal() -> None:
    docker = Docker(cast(Session, Saying("docker: Error response from daemon: no.")))
    assert not docker("run", "busybox", check=False).ok
    with pytest.raises(CommandFailed):
        docker("run", "busybox")


def test_a_control_that_was_late_says_nothing() -> None:
    class Failed:
        """A guest whose system-wide daemon gave up on containerd."""

        cell = "a-1/x86_64"

        def __init__(self) -> None:
            self.root = self

        def run(self, *argv: str, **_: object) -> Result:
            said = {"journalctl": SYSTEMS, "systemctl": "ActiveState=failed\n"}
            return Result(argv, 0, said.get(argv[0], ""), "", 0.1)

        def wait_until(self, *_: object) -> None:
            raise CommandTimeout("the system's daemon did not come")

    guest: Any = Failed()
    with pytest.raises(TestbedError):
        rootful.start(guest)
