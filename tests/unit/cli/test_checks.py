"""harness doctor on machines that lack something."""

from __future__ import annotations

import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands import checks
from harness.commands.checks import FAIL, OK, WARN, Check
from harness.errors import TestbedError
from harness.hypervisor import acceleration, connection
from harness.paths import Cache
from tests.unit.cli.conftest import Call

ROOT = Path(__file__).parents[3]


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)


@pytest.mark.usefixtures("nothing")
def test_without_tools(tmp_path: Path) -> None:
    found = {check.name: check for check in checks.tools(Cache(tmp_path))}
    assert found["qemu-img"].status == FAIL
    assert found["mmdebstrap"] == Check(
        FAIL, "mmdebstrap", "not installed: no image can be built", "make bootstrap"
    )
    assert found["ssh"].status == WARN


@pytest.mark.usefixtures("nothing")
def test_without_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (here,) = checks.qemu("x86_64")
    assert here.status == FAIL
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    (foreign,) = checks.qemu("x86_64")
    assert foreign.status == WARN
    assert "debian-12/x86_64" in foreign.found
    assert list(checks.qemu("s390x")) == []


def test_without_the_user_of_libvirt(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", missing)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    (check,) = checks.libvirt_user()
    assert check.status == FAIL
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert list(checks.libvirt_user()) == []


def test_a_machine_that_has_nothing_is_told_so(tmp_path: Path) -> None:
    """No QEMU, no tools: what doctor is for."""
    command = [sys.executable, "-m", "harness.cli", "doctor", "--cache-dir", str(tmp_path)]
    ran = subprocess.run(command, env={"PATH": "/nonexistent"}, cwd=ROOT, text=True,
                         capture_output=True, check=False)  # fmt: skip
    assert ran.returncode == 16, ran.stderr
    assert ran.stderr == ""
    assert re.search("^fail +qemu-system-", ran.stdout, re.MULTILINE)
    assert re.search("^fail +libvirt .*finds no QEMU", ran.stdout, re.MULTILINE)


def test_libvirt_that_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TestbedError("libvirt did not open x", hint="check the URI")

    monkeypatch.setattr(connection, "connect", refuse)
    check = checks.libvirt("qemu+tcp://host/system", Cache(tmp_path))
    assert (check.status, check.next_step) == (FAIL, "check the URI")


@pytest.mark.parametrize(
    ("text", "status"),
    [("alice:100000:65536\n", OK), ("1000:100000:65536\n", OK), ("bob:1:65536\n", FAIL), ("", FAIL),
     ("alice:100000:100\n", FAIL)],
)  # fmt: skip
def test_subordinate_ids(tmp_path: Path, text: str, status: str) -> None:
    subuid = tmp_path / "subuid"
    subuid.write_text(text)
    check = next(checks.user(subuid, 1000, "alice"))
    assert check.status == status
    if status == FAIL:
        assert check.next_step.endswith("alice")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, status in ((1 << 30, FAIL), (5 << 30, WARN), (50 << 30, OK)):
        usage = type("usage", (), {"free": free})
        monkeypatch.setattr("shutil.disk_usage", lambda _, usage=usage: usage)
        assert checks.space(Cache(tmp_path)).status == status


def test_the_status_of_doctor(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    import harness.commands.doctor as module

    for status, code in ((OK, 0), (WARN, 0), (FAIL, 16)):
        found = [Check(OK, "a", "b"), Check(status, "thing", "found [this]", "do that")]
        monkeypatch.setattr(module, "all_checks", lambda *_, found=found: found)
        result = call("doctor")
        assert result.exit_code == code
        assert "found [this]" in result.stdout


@pytest.mark.parametrize(
    "line", [b"alice:100000:\n", b"alice:100000:many\n", b"\xff:1:1\n", b"alice\n", b"\n"]
)
def test_a_line_of_ids_that_says_nothing_is_passed_over(tmp_path: Path, line: bytes) -> None:
    subuid = tmp_path / "subuid"
    subuid.write_bytes(line + b"alice:100000:65536\n")
    assert next(checks.user(subuid, 1000, "alice")).status == OK


def test_a_user_whom_nobody_knows(tmp_path: Path) -> None:
    subuid = tmp_path / "subuid"
    subuid.write_text("4000000:100000:65536\n")
    check = next(checks.user(subuid, 4_000_000))
    assert (check.status, check.found) == (OK, "4000000, with 65536 subordinate ids")


def test_a_cache_that_cannot_be_is_a_line_of_the_table(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = call("doctor", "--cache-dir", str(tmp_path / "file"))
    assert said.exit_code == 16
    assert re.search("^ok +Python", said.stdout, re.MULTILINE)
    assert re.search("^fail +cache ", said.stdout, re.MULTILINE)
    assert "Not a directory" in said.stdout


def test_what_to_do_for_kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kvm = tmp_path / "kvm"
    monkeypatch.setattr(acceleration, "KVM", kvm)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    check = checks.accelerator(Cache(tmp_path))
    assert f"{kvm} is absent" in check.found
    assert check.next_step == "a host whose KVM works"
    kvm.touch()
    check = checks.accelerator(Cache(tmp_path))
    assert "this user may not open it" in check.found
    assert check.next_step.startswith("usermod -aG kvm ")
