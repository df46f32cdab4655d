"""Leases: ports are never given twice, orphans end, live guests stay."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.hypervisor.leases import Lease, Leases, qemu_processes


def take(directory: Path, name: str, run: str = "run") -> Lease:
    scratch = directory / f"scratch-{name}"
    scratch.mkdir(parents=True)
    return Leases(directory / "leases").take(
        name=name, uuid="u", cell="debian-12/x86_64", run=run, directory=scratch,
        console=scratch / "console.log",
    )  # fmt: skip


def take_port(arguments: tuple[Path, str]) -> int:
    return take(*arguments).ssh_port


def test_processes_that_ask_at_once_get_different_ports(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        ports = list(pool.map(take_port, [(tmp_path, f"g{n}") for n in range(24)]))
    assert len(set(ports)) == 24


def test_a_live_owner_keeps_its_guest(tmp_path: Path) -> None:
    lease = take(tmp_path, "mine")
    leases = Leases(tmp_path / "leases")
    assert leases.reap() == []
    assert [found.name for found in leases.all()] == [lease.name]
    assert leases.reap(run="another") == []


def test_a_run_ends_its_own_guests(tmp_path: Path) -> None:
    take(tmp_path, "a", run="one")
    take(tmp_path, "b", run="two")
    leases = Leases(tmp_path / "leases")
    assert [lease.name for lease in leases.reap(run="one")] == ["a"]
    assert not (tmp_path / "scratch-a").exists()
    assert [lease.name for lease in leases.all()] == ["b"]




def test_the_guest_of_a_dead_owner_ends_with_its_directory(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from tests.unit.hypervisor.test_leases import take\n"
        "take(Path(sys.argv[1]), 'orphan')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=Path.cwd())
    leases = Leases(tmp_path / "leases")
    assert [lease.owner_alive for lease in leases.all()] == [False]
    assert [lease.name for lease in leases.reap()] == ["orphan"]
    assert leases.all() == []
    assert not (tmp_path / "scratch-orphan").exists()


def test_kept_guests_wait_for_their_user(tmp_path: Path) -> None:
    leases = Leases(tmp_path / "leases")
    leases.keep(take(tmp_path, "kept"))
    assert leases.reap() == []
    assert leases.reap(run="run") == []
    assert leases.reap(kept=True, only="other") == []
    assert [lease.name for lease in leases.reap(kept=True, only="kept")] == ["kept"]


def test_a_torn_record_is_dropped(tmp_path: Path) -> None:
    leases = Leases(tmp_path)
    (tmp_path / "torn.json").write_text('{"name": "to')
    assert leases.all() == []
    assert (tmp_path / "torn.json").exists(), "looking removes nothing"
    assert leases.reap() == []
    assert not (tmp_path / "torn.json").exists()


def test_a_torn_record_stays_while_its_guest_runs(tmp_path: Path) -> None:
    leases = Leases(tmp_path / "leases")
    (tmp_path / "leases" / "torn.json").write_text("")
    emulator = tmp_path / "qemu-system-toy"
    shutil.copy("/bin/sleep", emulator)
    with subprocess.Popen([emulator, "60"]) as idle:
        assert not any(qemu_processes("/torn")), "another guest's"
        idle.kill()
    copy = f"exec -a '{emulator} {tmp_path}/torn/disk' {emulator} 60"
    with subprocess.Popen(["bash", "-c", copy]) as guest:
        while not any(qemu_processes("/torn")):
            assert guest.poll() is None
        assert leases.reap() == []
        assert (tmp_path / "leases" / "torn.json").exists()
        guest.kill()


def test_a_record_of_a_later_version_is_a_lease(tmp_path: Path) -> None:
    lease = take(tmp_path, "later")
    leases = Leases(tmp_path / "leases")
    path = leases.directory / "later.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "green"}))
    assert leases.all() == [lease]


def set_the_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """What is left of a process's start, as a time of day, when the host's clock is set."""
    real = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: real(process) + seconds)


def test_a_clock_that_is_set_ends_no_guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(tmp_path, "mine")
    set_the_clock(monkeypatch, 7200)
    assert Leases(tmp_path / "leases").reap() == []
    assert (tmp_path / "scratch-mine").exists()


@pytest.mark.parametrize("alive", [True, False])
def test_a_lease_of_the_former_kind(tmp_path: Path, alive: bool) -> None:
    """Of its owner the process id is believed, and nothing is lost of it."""
    pid = os.getpid() if alive else 999_999_999
    leases = Leases(tmp_path / "leases")
    lease = take(tmp_path, "old")
    path = leases.directory / "old.json"
    record = json.loads(path.read_text())
    del record["owner"]
    path.write_text(json.dumps({**record, "owner_pid": pid, "owner_started": 1.5}))
    (found,) = leases.all()
    assert replace(found, owner="") == replace(lease, owner="")
    assert found.owner_alive == alive
    assert leases.reap() == ([] if alive else [found])
