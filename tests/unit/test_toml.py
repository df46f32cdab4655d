"""Files that cannot be read, or hold no TOML: one line each, whatever they hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import toml
from harness.errors import UsageError


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        toml.read(path)
    said = str(caught.value)
    assert said.isprintable(), said
    assert said.startswith(f"{path}: "), said
    return said.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe", "not valid TOML: 'utf-8' codec can't decode"),
        (b"\xef\xbb\xbfa = 1", "not valid TOML: it begins with a byte order mark"),
        (b"a = 1\na = 2", "not valid TOML: Cannot overwrite a value"),
        (b"a = " + b"[" * 9999, "not valid TOML: nested too deeply"),
        (b"a = " + b"{a=" * 9999, "not valid TOML: nested too deeply"),
        (b"a = " + b"9" * 9999, "not valid TOML: Exceeds the limit"),
        (b'"\x1b" = 1', "not valid TOML: Illegal character '\\x1b'"),
        (b"a = 2030-02-30", "not valid TOML: "),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_toml(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(data)
    assert refusal(path).startswith(said)


def test_what_is_no_file(tmp_path: Path) -> None:
    link, pipe, folder = tmp_path / "link", tmp_path / "pipe", tmp_path / "folder"
    link.symlink_to("nowhere")
    os.mkfifo(pipe)  # nobody writes into it
    folder.mkdir()
    assert refusal(link) == "cannot be read: a link to nothing"
    assert refusal(pipe) == "cannot be read: not a file"
    assert refusal(folder) == "cannot be read: Is a directory"
    with pytest.raises(FileNotFoundError):
        toml.read(tmp_path / "absent")


def test_an_empty_file_has_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.touch()
    assert toml.read(path) == {}


def test_what_is_shown_cannot_write_on_a_terminal() -> None:
    assert toml.shown("a\x1b[31m\nb\u202ec") == "a\\x1b[31m\\nb\\u202ec"
