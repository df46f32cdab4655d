# Python 3.6, few imports (each costs time under emulation): see guest_collect.
# ruff: noqa: PTH115, PTH123, SIM905, UP011
"""Runs in the guest: what is noted there, and the few ways to learn it."""

import functools
import os
import pwd
import re
import subprocess
from typing import Callable  # noqa: UP035

SBIN = "/usr/local/sbin /usr/sbin /sbin /usr/local/bin /usr/bin /bin".split()
LINES, WIDTH = 3, 160
# What is there and not seen, such as the line ends of another system.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xa0\u200b-\u200f\ufeff]")

found: "list[list[object]]" = []


def note(key: str, text: str, odd: bool = False, value: str = "") -> None:
    """*odd*: remarkable by itself.  Guests differ where *value*, or without one *text*, does.
    A detail of a thing has the thing's key, a tab and its own."""
    found.append([key, text, odd, value or text])


def run(*argv: str, become: "Callable[[], None] | None" = None, **environ: str) -> str:
    env = dict(os.environ, LC_ALL="C", PATH=":".join(SBIN), **environ)
    try:
        out = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=env, timeout=30, check=False, preexec_fn=become,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return out.stdout.decode("utf-8", "replace")


def run_as(user: "pwd.struct_passwd", runtime: str, *argv: str) -> str:
    """What a command says to the user.  Neither su nor runuser, which make a session and take
    long; ``subprocess`` changes users itself only from Python 3.9 on."""

    def become() -> None:
        os.setgroups([user.pw_gid])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return run(*argv, become=become, XDG_RUNTIME_DIR=runtime, HOME=user.pw_dir)


def read(path: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except OSError:
        return b""


def words(content: bytes) -> str:
    """The first lines that say something."""
    lines = [line.strip(" \t") for line in content.decode("utf-8", "replace").split("\n")]
    said = [line for line in lines if line and line[0] not in "#;"]
    more = " ..." if len(said) > LINES else ""
    return " | ".join(CONTROL.sub(_shown, line)[:WIDTH] for line in said[:LINES]) + more


def _shown(match: "re.Match[str]") -> str:
    return repr(match.group())[1:-1]


def namespace(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/user")
    except OSError:
        return ""


@functools.lru_cache()
def owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
