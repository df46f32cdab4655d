"""Trouble after the last scenario: the report is there all the same, and is no finding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.paths import project
from harness.results.model import Row, Verdict
from harness.results.run import Run
from harness.results.store import load_run

SCENARIO = "scenarios/test_paths.py"
CELL = "debian-12/x86_64"
# A plugin for the run, which boots no guest: what becomes of the one of the scenario, and then?
BED = """
import os
from types import SimpleNamespace
from harness.errors import GuestRefusal, RestoreError, TestbedError
from harness.results.run import HostInfo
from harness.results.store import RunStore
from harness.rootless import suspects
from harness.rootless.lab import Lab
from harness.rootless.refusals import unreached
from harness.session import run

run._host = lambda *_: HostInfo("6.1", "8", "10", "tcg", "")
asked = []

def guest(lab, cell, distro, state):
    asked.append(state)
    if len(asked) == 1:
        {first}
    {then}

Lab.guest = guest
{more}
"""
FULL = """
def full(*_, **__):
    raise OSError(28, "No space left on device", "run.json.tmp")
RunStore.finish = full
def collector(*_):
    raise ValueError("no JSON")
suspects.find = collector
"""
REFUSES = "raise GuestRefusal(unreached(state, 'the daemon does not answer'))"
LACKS = """
from harness.guest.session import CommandTimeout
from harness.results.model import Verdict
from harness.session.fixtures import DECIDER

def lacks():
    raise TestbedError("no room left on /", hint="make room", detail="the console's tail")

def pytest_pyfunc_call(pyfuncitem):
    {seen}
"""
STAYS = """
def end():
    raise TestbedError("QEMU does not end")

def pytest_pyfunc_call(pyfuncitem):
    from harness.session.fixtures import DECIDER
    decider = pyfuncitem.stash[DECIDER]
    for key in decider.context.keys:
        decider.not_applicable(key, "nothing of it applies")
    return True
"""


def run(
    tmp_path: Path, then: str, more: str = "", *words: str, first: str = REFUSES
) -> tuple[subprocess.CompletedProcess[str], Run]:
    (tmp_path / "broken_bed.py").write_text(BED.format(first=first, then=then, more=more))
    result = subprocess.run(
        [sys.executable, "-m", "harness.cli", "run", SCENARIO,
         "-p", "broken_bed", "-p", "no:cacheprovider", "-k", "test_client_with_a_socket",
         "--cell", CELL, "--image-source", "built",
         "--run-dir", str(tmp_path / "run"), "--cache-dir", str(tmp_path / "cache"), *words],
        cwd=project(), env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return result, load_run(tmp_path / "run")


def start(stored: Run) -> Row:
    return next(row for row in stored.rows if row.rule == "M18.start")


@pytest.mark.parametrize(
    ("error", "note"),
    [
        ("RestoreError('the state is damaged')", "the state is damaged"),
        ("ValueError('a bug')", "ValueError: a bug"),
    ],
)
def test_what_could_not_be_decided_is_the_test_bed_s(
    tmp_path: Path, error: str, note: str
) -> None:
    result, stored = run(tmp_path, f"raise {error}")
    assert result.returncode == 16, result.stdout + result.stderr
    assert (stored.complete, stored.exit_status) == (True, 16)
    assert (start(stored).verdict, start(stored).note) == (Verdict.TESTBED_ERROR, note)
    assert f"testbed-error  M18.start on {CELL}: {note}" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    "seen", ["raise GuestRefusal('it will not')", "raise CommandTimeout('late')",
             "pyfuncitem.stash[DECIDER].conclude(Verdict.VIOLATED, observed='no'); return True"]
)  # fmt: skip
def test_what_a_guest_shows_that_lacks_something_is_the_test_bed_s(
    tmp_path: Path, seen: str
) -> None:
    guest = "SimpleNamespace(facts=None, end=lambda: None, check_health=lacks, ended=False, " \
            "idle=lambda late: 'it idled', console_path=lab.logs(cell) / 'c.log')"  # fmt: skip
    result, stored = run(tmp_path, "", LACKS.format(seen=seen), first=f"return {guest}")
    assert result.returncode == 16, result.stdout + result.stderr
    assert stored.rows
    for row in stored.rows:
        assert (row.verdict, row.note) == (Verdict.TESTBED_ERROR, "no room left on /")
        assert (row.evidence, row.next_step) == ("the console's tail", "make room")
        assert row.log == "logs/debian-12_x86_64/c.log"


def test_what_was_found_before_the_next_guest_was_asked_for(tmp_path: Path) -> None:
    """It is the guest it was found in that must have been fit."""
    unfit, fit = (
        f"SimpleNamespace(facts=None, end=lambda: None, check_health={how}, ended=False, "
        "console_path=lab.logs(cell) / 'c.log')"
        for how in ("lacks", "lambda: None")
    )
    found = "pyfuncitem.stash[DECIDER].conclude(Verdict.VIOLATED, observed='no'); " \
            "pyfuncitem.funcargs['new_guest']('daemon'); return True"  # fmt: skip
    for first, then, verdict in ((unfit, fit, Verdict.TESTBED_ERROR), (fit, fit, Verdict.VIOLATED)):
        run_dir = tmp_path / verdict
        run_dir.mkdir()
        _, stored = run(run_dir, f"return {then}", LACKS.format(seen=found),
                        first=f"return {first}")  # fmt: skip
        assert {row.verdict for row in stored.rows} == {verdict}


@pytest.mark.parametrize(
    ("seen", "times"),
    [("raise TestbedError('the disk fails')", 2),
     ("raise GuestRefusal('logins run nothing') from TestbedError('the probe failed')", 1)],
)  # fmt: skip
def test_an_answer_is_not_asked_for_again(tmp_path: Path, seen: str, times: int) -> None:
    """Whatever it came of: pytest-rerunfailures looks at the causes of an error, too."""
    guest = "SimpleNamespace(facts=None, end=lambda: None, check_health=lambda: None, " \
            "ended=False, console_path=lab.logs(cell) / 'c.log')"  # fmt: skip
    more = LACKS.format(seen=f"open({str(tmp_path / 'asked')!r}, 'a').write('x'); {seen}")
    blind = "suspects.find = lambda *_: ()"
    again = ("--reruns", "1", "--only-rerun", "TestbedError")
    run(tmp_path, f"return {guest}", more + blind, *again, first="pass")
    assert (tmp_path / "asked").read_text() == "x" * times


def test_ctrl_c_ends_it_with_its_report(tmp_path: Path) -> None:
    result, stored = run(tmp_path, "raise KeyboardInterrupt")
    assert result.returncode == 130, result.stdout + result.stderr
    assert (stored.complete, stored.exit_status) == (True, 2)
    assert "KeyboardInterrupt" in result.stdout
    assert "the daemon does not answer" in result.stdout, "the report is shown"


def test_suspects_and_a_full_disk_cost_no_report(tmp_path: Path) -> None:
    result, stored = run(tmp_path, "raise GuestRefusal('no')", FULL)
    assert not stored.complete
    assert "could not be looked at: ValueError: no JSON" in result.stdout
    assert "violated  M18.start" in result.stdout
    assert "run.json is not complete: run.json.tmp: No space left on device" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert result.returncode == 1, "it found something before: not even the first state is reached"


def test_where_no_row_can_be_kept_the_run_ends(tmp_path: Path) -> None:
    more = """
def full(*_, **__):
    raise OSError(28, "No space left on device", "run.json.tmp")
RunStore.add_rows = full
"""
    result, _ = run(tmp_path, "raise GuestRefusal('no')", more)
    assert result.returncode == 16, result.stdout + result.stderr
    assert "could not be kept: run.json.tmp No space left on device" in result.stdout
    assert "INTERNALERROR" not in result.stdout + result.stderr


def test_what_broke_and_was_done_again_is_past(tmp_path: Path) -> None:
    """Also where no claim was known when it broke."""
    once = """if len(asked) == 1:
        raise TestbedError("once")
    pyfuncitem.stash[DECIDER]._add("traits", Verdict.HOLDS)
    return True"""
    guest = "SimpleNamespace(facts=None, end=lambda: None, check_health=lambda: None, " \
            "ended=False, console_path=lab.logs(cell) / 'c.log')"  # fmt: skip
    result, stored = run(
        tmp_path, f"return {guest}", LACKS.format(seen=once), "scenarios/test_traits.py",
        "-k", "test_prepared", "--reruns", "1", "--only-rerun", "TestbedError",
        first=f"return {guest}",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert [row.claim for row in stored.rows] == ["traits"]


def broken(stored: Run) -> list[Row]:
    return [row for row in stored.rows if row.verdict is Verdict.TESTBED_ERROR]


def test_a_worker_that_crashes_is_the_test_bed_s(tmp_path: Path) -> None:
    result, stored = run(tmp_path, "", "", "-n", "1", first="os._exit(9)")
    assert result.returncode == 16, result.stdout + result.stderr
    (row,) = broken(stored)
    assert (row.cell, row.scenario) == (CELL, f"{SCENARIO}::test_client_with_a_socket")
    assert "crashed while running" in row.note
    assert row.reproduce.endswith(f"test_client_with_a_socket --cell {CELL} --image-source built")
    assert stored.complete


def test_what_breaks_after_a_scenario_is_the_test_bed_s(tmp_path: Path) -> None:
    guest = "SimpleNamespace(facts=None, end=end, console_path=lab.logs(cell) / 'console.log')"
    result, stored = run(tmp_path, "", STAYS, first=f"return {guest}")
    assert result.returncode == 16, result.stdout + result.stderr
    (row,) = broken(stored)
    assert (row.cell, row.note) == (CELL, "QEMU does not end")
    assert row.log == "logs/debian-12_x86_64/console.log", "in the run's directory"


def test_a_ledger_that_is_edited_meanwhile_is_the_next_run_s(tmp_path: Path) -> None:
    edited = "from harness.results import known_issues as k; k.LEDGER = k.KNOWN = k.Path('x'); "
    blind = "suspects.find = lambda *_: ()"
    result, stored = run(tmp_path, "raise GuestRefusal('no')", blind, first=edited + REFUSES)
    assert "Traceback" not in result.stdout + result.stderr
    assert "there is no such file" not in result.stdout + result.stderr
    assert start(stored).verdict is Verdict.VIOLATED
    assert "violated  M18.start" in result.stdout
