"""What a guest of an upstream image is given before its first state is saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import TestbedError
from harness.image.model import Image
from harness.rootless import sourcing
from tests.unit.packages.local import Here

IMAGE = Image(
    "debian-12/x86_64", Path("disk.qcow2"), None, None, "", "sha256:0", "upstream", "", {}, ""
)  # fmt: skip
NO_NETWORK = "E: Failed to fetch http://mirror.example/debian/dists/bookworm/InRelease"
NO_TRUST = "E: The repository 'http://mirror.example/debian bookworm InRelease' is not signed."


@pytest.fixture
def apt_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(sourcing, "BUSYBOX_ALONE", "true")  # it is there

    def put(text: str) -> None:
        (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "{text}" >&2\nexit 100\n')
        (tmp_path / "apt-get").chmod(0o755)

    return put


def settle() -> str:
    log: list[str] = []
    guest: Any = SimpleNamespace(root=Here())
    sourcing.settle(guest, IMAGE, "apt", Path("cache"), lambda _: None, log.append)
    return "\n".join(log)


def test_lists_that_cannot_be_fetched_are_no_state(apt_says: Callable[[str], None]) -> None:
    apt_says(NO_NETWORK)
    with pytest.raises(TestbedError, match="Failed to fetch"):
        settle()


def test_a_manager_that_refuses_is_told(apt_says: Callable[[str], None]) -> None:
    apt_says(NO_TRUST)
    assert "is not signed" in settle()
