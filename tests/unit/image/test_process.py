"""What happens to a build's tools when whoever started them ends, however that comes about."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.errors import TestbedError
from harness.image import process

ROOT = Path(__file__).parents[3]

# As mmdebstrap: it lets SIGTERM pass until what it has started is done.
STUBBORN = """
trap : TERM
sleep 300 &
echo $! > {tools}.new
mv {tools}.new {tools}
while kill -0 $! 2>/dev/null; do wait $!; done
"""
BUILDER = """
from pathlib import Path
from harness.image import process

def test_build():
    try:
        process.run(["sh", "-c", {script!r}], Path({log!r}))
    finally:
        Path({ended!r}).touch()
"""


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[Path]:
    """A module whose ``test_build`` builds for ever; its tool's process id is in ``tools``."""
    script = STUBBORN.format(tools=tmp_path / "tools")
    module = tmp_path / "test_builder.py"
    module.write_text(BUILDER.format(
        script=script, log=str(tmp_path / "log"), ended=str(tmp_path / "ended")
    ))  # fmt: skip
    yield module
    if (tmp_path / "tools").exists() and psutil.pid_exists(pid := _tool(tmp_path)):
        os.kill(pid, signal.SIGKILL)


def _tool(place: Path) -> int:
    return int((place / "tools").read_text())


def _started(place: Path) -> psutil.Process:
    deadline = time.monotonic() + 60
    while not (place / "tools").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return psutil.Process(_tool(place))


def test_a_status_is_told(tmp_path: Path) -> None:
    process.run(["sh", "-c", "echo \"$0 $*\"", "a b", "c"], tmp_path / "log")
    assert process.tail(tmp_path / "log", 1) == "a b c"
    with pytest.raises(TestbedError, match="sh failed with status 7"):
        process.run(["sh", "-c", "exit 7"], tmp_path / "log")


def test_the_tools_end_with_a_killed_process(builder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from test_builder import test_build as t; t()"]
    path = f"{tmp_path}:{ROOT}"
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) as victim:
        tool = _started(tmp_path)
        victim.kill()
    tool.wait(30)
    assert not (tmp_path / "ended").exists()


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=str)
def test_a_terminated_run_ends_its_build(
    workers: tuple[str, ...], builder: Path, tmp_path: Path
) -> None:
    """``timeout`` and a closed terminal tell the workers, too."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c",
               str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}", "-p", "harness.plugin",
               "--cache-dir", str(tmp_path / "cache"), str(builder), *workers]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as run:  # fmt: skip
        tool = _started(tmp_path)
        os.killpg(run.pid, signal.SIGTERM)
        run.communicate(timeout=60)
    tool.wait(30)
    assert (tmp_path / "ended").exists()
