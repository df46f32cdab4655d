"""How a guest is told the time where it has no virtio channel."""

from __future__ import annotations

import time
from typing import Any, cast

from harness.guest import clock
from harness.guest.session import CommandFailed, Result, Session


class Root:
    """Has no file at all; remembers what it was asked to run."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], str]] = []

    def run(self, *argv: str, input: str = "", **_: Any) -> Result:
        self.asked.append((argv, input))
        return Result(argv, int(argv[0] == "test"), "", "", 0.0)


def test_without_a_channel_nothing_listens() -> None:
    root = Root()
    assert clock.start_listener(cast(Session, root)) is False
    assert [argv for argv, _ in root.asked] == [("test", "-e", clock.PORT)]


def test_an_old_systemd_is_told_as_well() -> None:
    class Old(Root):
        def run(self, *argv: str, input: str = "", **_: Any) -> Result:
            if argv[0] == "test":
                return Result(argv, 0, "", "", 0.0)
            result = Result(argv, 1, "", "systemd-run: unrecognized option '--collect'", 0.0)
            if _.get("check", True):
                raise CommandFailed(result)
            return result

    assert clock.start_listener(cast(Session, Old())) is False


def test_then_it_is_told_the_time_and_entropy() -> None:
    root = Root()
    for _ in range(2):
        clock.tell(cast(Session, root))
    (argv, first), (_, second) = root.asked
    compile(argv[-1], "script", "exec")
    now, seed = first.split()
    assert abs(float(now) - time.time()) < 60
    assert len(bytes.fromhex(seed)) == 64
    assert seed != second.split()[1]
