"""The other machine that scenarios ask from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import GuestRefusal
from harness.rootless import cable
from tests.unit.packages.local import Here


def test_that_root_gets_no_namespace_is_the_guests_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ip").write_text("#!/bin/sh\necho 'mkdir /run/netns failed: no' >&2; exit 1\n")
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    guest: Any = SimpleNamespace(root=Here())
    with pytest.raises(GuestRefusal, match="no network namespace: mkdir /run/netns failed"):
        cable.lay(guest)
