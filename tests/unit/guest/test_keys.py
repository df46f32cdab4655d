"""Keys: a run's certificate is signed by the cache's authority, and expires."""

from __future__ import annotations

import stat
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from harness.errors import TestbedError
from harness.guest import keys


def test_the_authority_is_made_once_and_is_private(tmp_path: Path) -> None:
    first = keys.authority_line(tmp_path)
    assert keys.authority_line(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "authority").stat().st_mode) == 0o600


def test_each_run_has_a_key_of_its_own(tmp_path: Path) -> None:
    one = keys.new_identity(tmp_path, ["tester"])
    assert one.private != keys.new_identity(tmp_path, ["tester"]).private


def test_openssh_reads_the_certificate(tmp_path: Path) -> None:
    keys.new_identity(tmp_path, ["root", "tester"]).write(tmp_path / "id")
    assert stat.S_IMODE((tmp_path / "id").stat().st_mode) == 0o600
    text = subprocess.run(
        ["ssh-keygen", "-L", "-f", tmp_path / "id-cert.pub"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "user certificate" in text
    assert "tester" in text
    assert "forever" not in text  # it has an end
    end = datetime.fromisoformat(text.split("Valid: before ")[1].split()[0])
    assert end - datetime.now() > timedelta(days=29), "later than the longest run"


def test_a_host_key_is_a_pair(tmp_path: Path) -> None:
    pair = keys.new_host_key()
    path = tmp_path / "host"
    path.write_text(pair.private)
    path.chmod(0o600)
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True
    ).stdout
    assert public.split()[:2] == pair.public.split()[:2]


@pytest.mark.parametrize("damage", ["", "-----BEGIN OPENSSH PRIVATE KEY-----\n", "\0" * 400])
def test_a_damaged_authority_is_named(tmp_path: Path, damage: str) -> None:
    (tmp_path / "authority").write_text(damage)
    with pytest.raises(TestbedError, match=f"{tmp_path}/authority") as caught:
        keys.new_identity(tmp_path, ["tester"])
    assert f"rm {tmp_path}/authority" in caught.value.command
