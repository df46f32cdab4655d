"""This machine as a guest: a session whose commands run here, into a root of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.guest.session import CommandFailed, CommandTimeout, Result
from harness.image.twins.package import Package

# As an ordinary user, in a user namespace: the managers want to be root.
AS_ROOT = () if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")


class Here:
    """A :class:`~harness.guest.session.Session` on the host."""

    user = "root"

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []

    def run(
        self, *argv: str, input: str | bytes | None = None, env: Mapping[str, str] | None = None,
        timeout: float | None = None, check: bool = True,
    ) -> Result:  # fmt: skip
        self.ran.append(argv)
        began = time.monotonic()
        data = input.encode() if isinstance(input, str) else input
        try:
            done = subprocess.run(
                [*AS_ROOT, *argv], input=data, capture_output=True, timeout=timeout or 120,
                env={**os.environ, **(env or {})}, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise CommandTimeout("too slow", detail=str(error.stdout)) from error
        result = Result(argv, done.returncode, done.stdout.decode(errors="replace"),
                        done.stderr.decode(errors="replace"), time.monotonic() - began)  # fmt: skip
        if check and not result.ok:
            raise CommandFailed(result)
        return result

    def sh(
        self, script: str, *args: str, input: str | bytes | None = None,
        env: Mapping[str, str] | None = None, timeout: float | None = None, check: bool = True,
    ) -> Result:  # fmt: skip
        return self.run("sh", "-c", script, "sh", *args, input=input, env=env, timeout=timeout,
                        check=check)  # fmt: skip

    def read(self, path: str) -> str:
        return Path(path).read_text()

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        target.chmod(mode)


def need(*tools: str) -> None:
    """Skip where this machine lacks one of *tools*, which no other test needs."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if AS_ROOT and subprocess.run([*AS_ROOT, "true"], capture_output=True, check=False).returncode:
        pytest.skip("not root, and a user may not make a user namespace here")


def tiny(
    where: Path, name: str, version: str = "1.0", *, requires: tuple[str, ...] = (),
    conflicts: tuple[str, ...] = (), post: str = "",
) -> Package:  # fmt: skip
    """A package of one program, /usr/bin/NAME, and a link to it."""
    tree = where / f"{name}-{version}"
    program = tree / "usr/bin" / name
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho {name} {version}\n")
    program.chmod(0o4755)
    (tree / "usr/bin" / f"{name}-link").symlink_to(name)
    return Package(name, version, "1", "x86_64", f"the tool {name}", tree, requires, conflicts,
                   post)  # fmt: skip
