"""Who is there and who is gone, of real processes."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from harness.hypervisor import owners

TELL = "import time; from harness.hypervisor import owners; print(owners.me(), flush=True); "


def changed(owner: str, part: int, value: str) -> str:
    parts = owner.split("-")
    parts[part] = value
    return "-".join(parts)


def test_a_process_lives_until_it_ends() -> None:
    command = [sys.executable, "-c", TELL + "time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        assert owners.lives(owner, 0)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
        assert not owners.lives(owner, 0)
    assert not owners.lives(owner, 0)


def test_an_id_that_was_given_again_is_another_process() -> None:
    assert owners.lives(owners.me(), 0)
    assert not owners.lives(changed(owners.me(), 1, "1"), 0)


def test_nobody_outlives_a_boot() -> None:
    assert not owners.lives(changed(owners.me(), 2, "0badb007"), 0)


def test_of_another_container_only_the_age_is_known() -> None:
    elsewhere = changed(owners.me(), 3, "1")
    assert owners.lives(elsewhere, 60)
    assert not owners.lives(elsewhere, owners.FORGOTTEN)


def test_a_name_may_hold_anything() -> None:
    name = 'prctl(15, b"a) R 1 (b")'
    code = f"import ctypes; ctypes.CDLL(None).{name}; {TELL}time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        assert psutil.Process(process.pid).name() == "a) R 1 (b"
        assert owner.split("-")[1].isdecimal()
        assert owners.lives(owner, 0)
        process.kill()


@pytest.mark.parametrize("text", ["", "x", "x-1-2-3", "999999999-1"])
def test_what_names_no_process_is_nobody(text: str) -> None:
    assert not owners.lives(text, 0)


def test_of_a_record_of_the_former_kind_the_id_is_believed() -> None:
    assert owners.lives(f"{os.getpid()}-1700000000", 0)
