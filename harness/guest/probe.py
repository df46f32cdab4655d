"""Read the facts off a guest, in one command as the login user and one as root."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Protocol

from harness.errors import TestbedError
from harness.guest import probe_parse
from harness.guest.facts import Facts

TIMEOUT = 60.0


class _Result(Protocol):
    @property
    def exit_status(self) -> int: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


class Session(Protocol):
    """The part of a guest's login that the probe needs."""

    def run(
        self,
        *argv: str,
        input: str | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> _Result: ...


def probe(user: Session, root: Session, user_name: str) -> Facts:
    """The facts of the guest as ``user_name`` meets them; reads, and changes nothing."""
    login = run_script(user, script("probe_login.py"))
    seen = run_script(root, script("probe_root.py"), json.dumps({**login, "user": user_name}))
    return probe_parse.facts(user_name, login, seen)


def script(name: str, package: str = "harness.guest") -> str:
    """The text of a script that runs in the guest."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def run_script(session: Session, text: str, *argv: str, timeout: float = TIMEOUT) -> Any:
    """Feed ``text`` to the guest's Python and parse the JSON it prints."""
    result = session.run("python3", "-I", "-", *argv, input=text, timeout=timeout, check=False)
    if result.exit_status == 127:
        raise TestbedError(
            "the guest has no python3, and the probe needs it",
            hint="add the distro's python3 package to the image recipe",
            detail=result.stderr.strip(),
        )
    try:
        return json.loads(result.stdout)
    except ValueError as error:
        raise TestbedError(
            f"a probe script failed on the guest with exit status {result.exit_status}",
            hint="this is a bug of the script, or the guest's python3 is broken",
            detail=(result.stderr.strip() or result.stdout.strip())[-2000:],
        ) from error
