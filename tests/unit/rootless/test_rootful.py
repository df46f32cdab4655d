"""A control that does not answer: late, or broken."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import GuestRefusal
from harness.guest.session import CommandTimeout, Result
from harness.rootless import rootful


class Silent:
    """A guest whose system-wide daemon does not answer, and whose unit is in *state*."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.root = self

    def run(self, *argv: str, **_: object) -> Result:
        said = f"ActiveState={self.state}\n" if argv[:2] == ("systemctl", "show") else ""
        return Result(argv, 0, said, "", 0.1)

    def wait_until(self, *_: object) -> None:
        raise CommandTimeout("the system's daemon did not come")


@pytest.mark.parametrize(
    ("state", "kind"),
    [("failed", GuestRefusal), ("inactive", GuestRefusal), ("active", GuestRefusal),
     ("activating", CommandTimeout), ("", CommandTimeout)],
)  # fmt: skip
def test_only_what_may_yet_come_is_late(state: str, kind: type[Exception]) -> None:
    guest: Any = Silent(state)
    with pytest.raises((GuestRefusal, CommandTimeout)) as caught:
        rootful.start(guest)
    assert caught.type is kind
