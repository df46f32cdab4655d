"""Whether it is the guest that lets the user in no more, or the test bed that cannot get there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from harness.errors import GuestRefusal, TestbedError
from harness.guest import guest as room
from harness.guest.connection import refused
from harness.guest.guest import Access, Guest

NO = paramiko.AuthenticationException("Authentication failed.")
HUNG_UP = paramiko.AuthenticationException("Authentication failed: transport shut down or saw EOF")
SLOW = paramiko.AuthenticationException("Authentication timeout.")
GONE = paramiko.SSHException("Error reading SSH protocol banner")


def test_a_no_is_told_from_silence() -> None:
    assert refused(NO)
    assert refused(HUNG_UP)
    assert refused(paramiko.BadAuthenticationType("", ["password"]))
    assert not refused(SLOW)
    assert not refused(GONE)
    assert not refused(ConnectionRefusedError())


def guest(facts: object) -> Guest:
    console = SimpleNamespace(fatal=lambda: "", path="console.log", tail=lambda: "")
    machine: Any = SimpleNamespace(
        console=console, running=True, paused=False, spec=SimpleNamespace(ssh_port=22)
    )
    made = Guest("cell", machine, Access(None, "", "tester"), scale=0.01)  # type: ignore[arg-type]
    made._facts = facts  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(
    ("said", "root_too", "facts", "load", "kind"),
    [
        (NO, False, "read", 2.0, GuestRefusal),
        (HUNG_UP, False, "read", 2.0, GuestRefusal),
        (NO, True, "read", 0.0, TestbedError),
        (NO, False, None, 0.0, TestbedError),
        (SLOW, False, "read", 0.0, GuestRefusal),
        (SLOW, True, "read", 0.0, TestbedError),
        (SLOW, False, "read", 2.0, TestbedError),
        (SLOW, False, None, 0.0, TestbedError),
        (GONE, False, "read", 0.0, TestbedError),
    ],
)
def test_who_is_to_blame(
    said: Exception, root_too: bool, facts: object, load: float, kind: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def connect(user: str, *_: object, **__: object) -> object:
        if user == "tester" or root_too:
            raise said
        answer = SimpleNamespace(transcript="")
        return SimpleNamespace(alive=True, close=lambda: None, sh=lambda *_, **__: answer,
                               read=lambda _: f"{load} 0 0")  # fmt: skip

    monkeypatch.setattr(room, "Connection", connect)
    with pytest.raises((GuestRefusal, TestbedError)) as caught:
        _ = guest(facts).user
    assert caught.type is kind
