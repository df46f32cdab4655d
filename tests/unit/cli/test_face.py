"""Help, versions, errors and statuses."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from harness import __version__
from harness.cli import COMMANDS, main
from harness.errors import GuestRefusal, TestbedError, UsageError
from tests.unit.cli.conftest import Call


def leaves() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(main)
    for name in main.list_commands(context):
        found.append((name,))
        command = main.get_command(context, name)
        if isinstance(command, click.Group):
            found += [(name, sub) for sub in command.list_commands(context)]
    return found


@pytest.mark.parametrize("words", leaves(), ids=" ".join)
def test_every_help_has_an_example(call: Call, words: tuple[str, ...]) -> None:
    result = call(*words, "--help")
    assert result.exit_code == 0
    assert call(*words, "-h").stdout == result.stdout
    assert "Example" in result.stdout
    assert f"harness {words[0]}" in result.stdout


@pytest.mark.parametrize("words", leaves(), ids=" ".join)
def test_every_option_says_what_it_is_for(words: tuple[str, ...]) -> None:
    command: click.Command | None = main
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(main), word)
    assert command is not None
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help, option.opts


def test_the_list_of_commands(call: Call) -> None:
    result = call("--help")
    assert call("-h").stdout == result.stdout
    assert all(name in result.stdout and line in result.stdout
               for name, (_, line) in COMMANDS.items())  # fmt: skip


@pytest.mark.parametrize(
    ("words", "there"),
    [(("trait", "shw"), "known commands: "), (("image", "lst"), "the nearest: list"),
     (("cache", "clean"), "the nearest: clear"), (("repot",), "the nearest: report")],
    ids=str,
)  # fmt: skip
def test_a_command_that_is_none(call: Call, words: tuple[str, ...], there: str) -> None:
    said = call(*words)
    assert said.exit_code == 4
    assert f"no such command '{words[-1]}'; {there}" in said.stderr


def test_version(call: Call) -> None:
    assert call("--version").stdout == f"harness, version {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("matrix", "--nonsense"),
        ("matrix", "--cell", "debian-99/*"),
        ("shell",),
        ("shell", "debian-99/x86_64"),
        ("shell", "debian-*/x86_64"),
        ("shell", "debian-12/s390x"),
        ("shell", "debian-12/x86_64", "--state", "nonsense"),
        ("shell", "debian-12/x86_64", "--hook", "prepared"),
        ("shell", "debian-12/x86_64", "--hook", "prepared:/no/such/file"),
        ("shell", "debian-12/x86_64", "--hook", "prepared:~nosuchuser/file"),
        ("shell", "debian-12/x86_64/podman=4"),
        ("image", "build", "debian-99/x86_64"),
        ("image", "verify", "debian-12/x86_64"),
        ("cache", "clear"),
        ("cache", "reap", "--kept", "nonsense"),
        ("claims", "Z99"),
        ("explain", "P15"),
        ("explain", "Z99", "--cell", "debian-12/x86_64"),
        ("explain", "P15.nonsense", "--cell", "debian-12/x86_64"),
        ("report",),
        ("report", "runs/none"),
        ("report", "~nosuchuser/run"),
        ("compare", "runs/none", "runs/none"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_and_ends_with_4(call: Call, words: tuple[str, ...]) -> None:
    result = call(*words)
    assert result.exit_code == 4
    assert result.stderr.strip()
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("what", hint="do this", command="harness x"), 4),
        (TestbedError("what", hint="do this", command="harness x"), 16),
        (GuestRefusal("what", hint="do this", command="harness x"), 1),
        (KeyboardInterrupt(), 130),
        (OSError(13, "Permission denied", "/file"), 16),
        (ImportError("no libvirt.so.0"), 16),
        (BrokenPipeError(), 141),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_have_statuses(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("harness.commands.matrix"), "supports", fail)
    result = call("matrix")
    assert result.exit_code == status
    if isinstance(error, UsageError | TestbedError | GuestRefusal):
        assert result.stderr == "harness: what\nnext: do this\n  $ harness x\n"
    assert result.stdout == ""


@pytest.mark.parametrize("words", ["claims", "bug list", "matrix"])
def test_a_reader_that_has_seen_enough(words: str) -> None:
    ours, its = os.pipe()
    os.close(ours)
    with open(its, "wb") as unread:  # noqa: PTH123  (a descriptor)
        command = [sys.executable, "-m", "harness.cli", *words.split()]
        ran = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, check=False)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize("words", ["claims", "matrix --json"])
def test_an_answer_that_has_no_room(words: str) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "harness.cli", *words.split()]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (ran.returncode, ran.stderr) == (16, b"harness: stdout: No space left on device\n")


@pytest.mark.parametrize("words", ["matrix --cell nope", "nope", "matrix --nope"])
def test_an_error_that_nobody_hears_keeps_its_status(words: str) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "harness.cli", *words.split()]
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, check=False)
    assert (ran.returncode, ran.stdout) == (4, b"")


def test_guests_cannot_write_on_the_terminal(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise TestbedError("\x1b[31mred\x1b]0;title\x07 end", detail="one\r\ntwo")

    monkeypatch.setattr(importlib.import_module("harness.commands.matrix"), "supports", fail)
    assert call("matrix").stderr == "harness: red end\none\ntwo\n"


def test_a_broken_ledger(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "claims.toml"
    broken.write_text("[[claim]\n")
    monkeypatch.setattr(importlib.import_module("harness.commands.claims"), "LEDGER", broken)
    result = call("claims")
    assert result.exit_code == 4
    assert "not valid TOML" in result.stderr


def test_a_broken_recipe(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "debian-12.toml").write_text('distro = "debian"\ndisk_gib = "x"\n')
    module = importlib.import_module("harness.image.recipe")
    monkeypatch.setattr(module, "folder", lambda: tmp_path)
    monkeypatch.setattr(importlib.import_module("shutil"), "which", lambda *_, **__: "/bin/true")
    result = call("image", "build", "debian-12/x86_64")
    assert result.exit_code == 4
    assert "debian-12.toml" in result.stderr


def test_a_bug_is_no_finding(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    """Python's own status for one is 1, which says that the distro is at fault."""

    def bug(*_: object, **__: object) -> None:
        raise ValueError("of the harness")

    monkeypatch.setattr("harness.commands.claims.load_ledger", bug)
    result = call("claims")
    assert result.exit_code == 16
    assert "ValueError: of the harness" in result.stderr
