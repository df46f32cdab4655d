"""The command that runs a scenario again, as it can be pasted where the run was started."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.paths import project

# What makes a guest other than its distro is; a cell's id has the engine's version.
ALTERING = ("--hook", "--induce", "--withhold", "--kernel-args")
CARRIED = (*ALTERING, "--accel", "--libvirt-uri", "--image-source", "--installer")


def program(argv0: str) -> list[str]:
    """How pytest or ``harness run`` was called: by name if the PATH leads there, else by path."""
    path = Path(argv0)
    if path.name == "__main__.py":  # python -m pytest, python -m harness.cli
        return [_word(sys.executable), "-m", path.parent.name]
    if path.name == "cli.py":
        return [_word(sys.executable), "-m", "harness.cli", "run"]
    return [_word(argv0), "run"] if path.name == "harness" else [_word(argv0)]


def _word(called: str) -> str:
    name = Path(called).name
    found = shutil.which(name)
    if found and (os.sep not in called or Path(found).absolute() == Path(called).absolute()):
        return name
    path = Path(called).absolute()
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def prefix(argv0: str) -> list[str]:
    """The words before the options: the program and the checkout's directory, seen from here."""
    root = os.path.relpath(project(), Path.cwd())
    return [*program(argv0), "" if root == "." else root]


def command(start: Sequence[str], scenario: str, cell: str, chosen: Sequence[str]) -> str:
    """*start* is what :func:`prefix` gave, *chosen* the other options."""
    *words, root = start
    return shlex.join([*words, str(Path(root, scenario)), "--cell", cell, *chosen])


def carried(values: Mapping[str, str | Sequence[str]], defaults: Mapping[str, str]) -> list[str]:
    """The options of a session that another run of a scenario needs, as words."""
    words: list[str] = []
    for name in CARRIED:
        value = values.get(name) or ()
        for one in [value] if isinstance(value, str) else value:
            if one != defaults.get(name):
                words += [name, one]
    return words


def altering(argv: Sequence[str]) -> str:
    """The options of a stored run that altered its guests, as they would be typed."""
    words: list[str] = []
    for index, word in enumerate(argv):
        name, separator, value = word.partition("=")
        if name in ALTERING:
            following = argv[index + 1] if index + 1 < len(argv) else ""
            words.append(f"{name} {shlex.quote(value if separator else following)}")
    return " ".join(words)
