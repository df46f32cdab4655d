"""What ends a command from outside: its guests end with it, and it says no more than that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.paths import project

PATIENCE = 120.0  # seconds; a bound against hanging for ever
# A plugin for the run: the guest that is asked for the engine's versions takes for ever.
BED = """
import time
from pathlib import Path
from harness.rootless.lab import Lab

def guest(lab, *_):
    Path("asked").touch()
    time.sleep(600)

def close(lab):
    Path("closed").touch()

Lab.guest, Lab.close = guest, close
"""


def started(words: Sequence[str], directory: Path, ignored: Sequence[int]) -> subprocess.Popen[str]:
    def signals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, *words], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=signals,
        env={**os.environ, "PYTHONPATH": f"{directory}:{project()}"},
    )  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_asks_for_versions(number: int, tmp_path: Path) -> None:
    (tmp_path / "slow_bed.py").write_text(BED)
    run = started(
        ["-m", "harness.cli", "run", "scenarios/test_ports.py", "-p", "slow_bed",
         "-p", "no:cacheprovider", "--cell", "debian-12/x86_64", "--image-source", "built",
         "--engine-version", "20.10.24", "--cache-dir", "cache"],
        tmp_path, (),
    )  # fmt: skip
    wait_for(tmp_path / "asked", run)
    run.send_signal(number)
    said = "".join(run.communicate(timeout=PATIENCE))
    assert run.returncode == 130, said
    assert (tmp_path / "closed").exists(), "its guests were ended"
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    code = (
        "import os, signal; from harness.commands.face import end_as_ctrl_c; end_as_ctrl_c()\n"
        "os.kill(os.getpid(), signal.SIGHUP); print('goes on')"
    )
    nohup = started(["-c", code], tmp_path, (signal.SIGHUP,))
    assert nohup.communicate(timeout=PATIENCE)[0] == "goes on\n"
    without = started(["-c", code], tmp_path, ())
    assert "KeyboardInterrupt" in without.communicate(timeout=PATIENCE)[1]


def test_servers_that_are_asked_are_not_waited_for(tmp_path: Path) -> None:
    code = """
import time
from pathlib import Path
from harness.cli import main
from harness.commands import upstream

def ask(entry):
    Path("asked").touch()
    time.sleep(600)

upstream._check = ask
main(["image", "check", "debian-12/x86_64"])
"""
    check = started(["-c", code], tmp_path, ())
    wait_for(tmp_path / "asked", check)
    check.send_signal(signal.SIGINT)
    said = "".join(check.communicate(timeout=PATIENCE))
    assert check.returncode == 130, said
    assert "Traceback" not in said
