"""What the rungs run in a guest."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.rootless import ladder

LINES = "session optional pam_motd.so noupdate\nsession required pam_limits.so\n"


@pytest.mark.parametrize("there", [True, False])
def test_logins_are_quiet_where_they_were_not(there: bool, tmp_path: Path) -> None:
    path = tmp_path / "sshd"
    if there:
        path.write_text(LINES)
    command = ladder.QUIET_LOGIN.replace("/etc/pam.d", str(tmp_path))
    subprocess.run(["sh", "-c", command], check=True)
    assert path.exists() == there
    assert not there or path.read_text() == f"#{LINES}"
