"""Waiting for the end of a boot, with a systemd that waits itself and with one that cannot."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.guest.guest import Access, Guest
from harness.guest.session import CommandTimeout, Result


class Root:
    """Answers what systemd would, one after another; the last one for ever.  *knows* --wait."""

    alive = True

    def __init__(self, *answers: str, knows: bool) -> None:
        self.answers = list(answers)
        self.knows = knows
        self.asked = 0

    def run(self, *argv: str, **_: Any) -> Result:
        if argv[0] != "systemctl":
            return Result(argv, 0, "", "", 0.0)
        self.asked += 1
        if "--wait" in argv and not self.knows:
            return Result(argv, 1, "", "systemctl: unrecognized option '--wait'", 0.0)
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Result(argv, int(said != "running"), f"{said}\n", "", 0.0)


def booted(root: Root, scale: float) -> None:
    console = SimpleNamespace(fatal=lambda: "", path="console.log", tail=lambda: "")
    machine: Any = SimpleNamespace(console=console, running=True, paused=False)
    guest = Guest("cell", machine, Access(None, "", "tester"), scale=scale)  # type: ignore[arg-type]
    guest._connections["root"] = root  # type: ignore[assignment]
    guest._connect = lambda *_: root  # type: ignore[assignment, method-assign]
    guest.wait_booted()


def test_systemd_is_asked_once_where_it_waits() -> None:
    root = Root("degraded", knows=True)
    booted(root, 1.0)
    assert root.asked == 1


@pytest.mark.parametrize("end", ["running", "degraded"])
@pytest.mark.parametrize("knows", [True, False])
def test_an_old_one_is_asked_until_it_has_booted(end: str, knows: bool) -> None:
    """That of CentOS 7 refuses the option; later ones took it, and did not wait."""
    root = Root("starting", end, knows=knows)
    booted(root, 1.0)
    assert root.answers == [end]


def test_an_old_one_that_never_ends_is_given_up() -> None:
    with pytest.raises(CommandTimeout, match="the end of the boot"):
        booted(Root("starting", knows=False), 0.001)
