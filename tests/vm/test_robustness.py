"""Interruptions, crowds and damage: no orphan, no poisoned cache, the same guests after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.hypervisor.leases import Leases, qemu_processes
from harness.hypervisor.saved import StateStore
from harness.paths import cache
from tests.vm.conftest import CELL, ROOT

PATIENCE = 900.0  # seconds; a bound against hanging for ever, not an expectation

ASK = """
import sys
from pathlib import Path
from harness.distros import registry
from harness.matrix import Cell
from harness.paths import Cache
from harness.rootless.lab import Lab
from harness.rootless.options import Options
cell = Cell("debian", "12", "x86_64")
lab = Lab(Options(Cache(Path(sys.argv[1])), "asker", Path(sys.argv[1]) / "run",
                  progress=lambda text: print(text, flush=True)))
guest = lab.guest(cell, registry.of(cell), "booted")
print("answer", guest.root.run("hostname").stdout.strip(), flush=True)
lab.close()
"""


def ask(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ASK, str(directory)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def wait_for(ready: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)


def test_crowds_kills_and_damage_in_one_cache(empty_cache: Path) -> None:
    """One cache through what may happen to it.  In one test, because each boot is dear."""
    states = StateStore(empty_cache / "states")

    # kill -9 while the state is being made: nothing is trusted, and the guest is an orphan
    victim = ask(empty_cache)
    wait_for(lambda: Leases(empty_cache / "leases").all() or victim.poll(), "a lease")
    assert victim.poll() is None, victim.communicate()[0]
    scratch = Leases(empty_cache / "leases").all()[0].directory
    wait_for(lambda: list(qemu_processes(scratch)), "QEMU")
    victim.kill()
    victim.communicate()
    assert states.all() == []
    assert list(qemu_processes(scratch))
    assert [lease.directory for lease in Leases(empty_cache / "leases").reap()] == [scratch]
    assert not list(qemu_processes(scratch))

    # two at once: made once, both answered
    askers = [ask(empty_cache), ask(empty_cache)]
    said = [asker.communicate(timeout=PATIENCE)[0] for asker in askers]
    assert all("answer " in text for text in said), said
    assert sum("booting" in text for text in said) == 1, said
    assert sum("waiting for state booted" in text for text in said) == 1, said
    (state,) = states.all()

    # a flipped byte, then a truncated file: seen, said in one line, mended
    with state.memory.open("r+b") as file:
        file.seek(5_000_000)
        byte = file.read(1)
        file.seek(5_000_000)
        file.write(bytes([byte[0] ^ 255]))
    text = ask(empty_cache).communicate(timeout=PATIENCE)[0]
    assert "damaged (memory.save differs from what was written); rebuilding it" in text
    assert "answer " in text
    (state,) = states.all()
    os.truncate(state.memory, state.memory.stat().st_size // 2)
    text = ask(empty_cache).communicate(timeout=PATIENCE)[0]
    assert "booting" in text
    assert "answer " in text

    # what no lease vouches for is gone, and no guest is left
    assert not list((empty_cache / "guests").iterdir())
    assert Leases(empty_cache / "leases").all() == []


def helpers(pid: int) -> list[psutil.Process]:
    """What this process has started but for guests; what ends meanwhile is none."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "qemu" not in child.name():
                found.append(child)
    return found


@pytest.mark.parametrize(
    ("workers", "end"),
    [
        ("2", signal.SIGINT),
        ("0", signal.SIGTERM),
        ("2", signal.SIGKILL),
        pytest.param("0", signal.SIGINT, marks=pytest.mark.nightly),
        pytest.param("2", signal.SIGTERM, marks=pytest.mark.nightly),
        pytest.param("0", signal.SIGKILL, marks=pytest.mark.nightly),
    ],
)
def test_an_interrupted_run_leaves_no_guest(
    end: signal.Signals, workers: str, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "scenarios/test_ports.py", "--cell", CELL.id,
         "--run-dir", str(directory), "-n", workers],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        # Whoever started the tests in the background may have had Ctrl-C ignored, for all below.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    leases = Leases(cache().leases)

    def mine() -> list[str]:
        consoles = f"{directory}/"
        return [lease.directory for lease in leases.all() if lease.console.startswith(consoles)]

    wait_for(lambda: any(list(qemu_processes(path)) for path in mine()), "a guest")
    scratch = mine()
    processes = helpers(run.pid)
    run.send_signal(end)
    output, _ = run.communicate(timeout=PATIENCE)
    if end == signal.SIGKILL:
        # xdist's workers notice the closed pipe and leave; whoever is left behind is reaped
        psutil.wait_procs(processes, timeout=60)
        leases.reap()
    else:
        assert run.returncode == 2, output[-3000:]
    assert not mine(), output[-3000:]
    assert not [path for path in scratch if list(qemu_processes(path))]


def test_a_full_disk_is_one_clear_line(empty_cache: Path) -> None:
    """A limit on file size stands for the full disk: the write fails in the same place."""
    text = subprocess.run(
        ["sh", "-c", 'ulimit -f 100000; exec "$0" -c "$1" "$2"', sys.executable, ASK,
         str(empty_cache)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert text.returncode != 0
    assert "could not be saved" in text.stderr or "failed" in text.stderr, text.stderr[-2000:]
    assert StateStore(empty_cache / "states").all() == []
