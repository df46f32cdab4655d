"""Leases: ports are never given twice, orphans end, live guests stay."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from harness.hypervisor.leases import Lease, Leases


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
    assert not (tmp_path / "torn.json").exists()


def test_a_reused_process_id_is_not_the_owner(tmp_path: Path) -> None:
    lease = take(tmp_path, "old")
    stale = Lease(**{**lease.__dict__, "owner_started": time.time() - 10_000})
    assert stale.owner_pid == os.getpid()
    assert not stale.owner_alive
