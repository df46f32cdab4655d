"""Read the facts off a guest, in one command as the login user and one as root."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from importlib import resources
from typing import Any

from harness.errors import GuestRefusal, TestbedError
from harness.guest import load, logins, probe_parse, standstill
from harness.guest.facts import Facts
from harness.guest.session import CommandTimeout, Session

TIMEOUT = 60.0
OVERDUE = 75  # what a script exits with that could not wait for the guest's programs
CONTROL = ("python3", "-I", "-c", "print('as it should')")
# The guest has no harness: a script's modules are there under their names before it asks for them.
LOADER = """import sys, types
for name, source in MODULES.items():
    sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), sys.modules[name].__dict__)
"""


class _OverdueTestbedError(TestbedError):
    """A program that a script had asked did not end in time.  Named as what is asked once more."""


def probe(user: Session, root: Session, user_name: str, scale: float = 1.0) -> Facts:
    """The facts of the guest as ``user_name`` meets them; reads, and changes nothing.

    *scale* is that of the guest's time limits: the scripts have their own.
    Raises :class:`GuestRefusal` where the user's logins do not run what root's do: a shell that
    refuses, says something of its own or comes to no end, a PATH that leads nowhere; and where a
    program hangs that is asked.
    """
    try:
        return _probe(user, root, user_name, scale)
    except _OverdueTestbedError:
        # Once more, to know what the guest was busy with before, and what with meanwhile.
        before, watch = _load(root), standstill.Stopwatch()
    try:
        return _probe(user, root, user_name, scale)
    except _OverdueTestbedError as error:
        if not load.idle(now := _load(root), watch.seconds, before):
            raise
        raise GuestRefusal(
            f"a program hangs: {error.detail}",
            detail=f"the guest answers, and was idle: {now:.2f} tasks at work, {before:.2f} before",
        ) from error


def _load(root: Session) -> float:
    return load.of(root.run("cat", load.FILE).stdout)


def _probe(user: Session, root: Session, user_name: str, scale: float) -> Facts:
    login = _login(user, root, user_name, scale)
    asked = json.dumps({**login, "user": user_name})
    seen = run_script(root, script("probe_root.py"), asked, str(scale))
    return probe_parse.facts(user_name, login, seen)


def _login(user: Session, root: Session, user_name: str, scale: float) -> Any:
    try:
        return run_script(user, script("probe_login.py"), str(scale))
    except CommandTimeout as late:
        if not load.idle(now := _load(root), late.waited):
            raise
        raise logins.endless(root, user_name, f"{now:.2f} tasks at work") from late
    except TestbedError as error:
        of_root, of_user = (session.run(*CONTROL, check=False) for session in (root, user))
        if of_root.stdout.strip() != "as it should" or of_user.stdout == of_root.stdout:
            raise
        raise GuestRefusal(
            f"logins of {user_name} do not run what those of root do",
            detail=f"`{CONTROL[0]} ...` exited with {of_user.exit_status}: "
            f"{of_user.stdout.strip()} {of_user.stderr.strip()}"[-2000:],
        ) from error


def script(name: str, package: str = "harness.guest") -> str:
    """The text of a script that runs in the guest, with the harness' modules that it imports."""
    text = _source(name, package)
    modules: dict[str, str] = {}
    _carry(text, modules)
    return f"MODULES = {modules!r}\n{LOADER}{text}" if modules else text


@functools.cache
def definition() -> str:
    """The digest of all that makes facts: those of another one may say something else."""
    scripts = [script(name) for name in ("probe_login.py", "probe_root.py")]
    readers = [_source(name, "harness.guest") for name in ("probe_parse.py", "facts.py")]
    return hashlib.sha256("\0".join(scripts + readers).encode()).hexdigest()


def _source(name: str, package: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _carry(text: str, modules: dict[str, str]) -> None:
    """Add what *text* imports of the harness, each after what it imports itself."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("harness."):
            package, _, name = str(node.module).rpartition(".")
            source = _source(f"{name}.py", package)
            _carry(source, modules)
            modules[f"{package}.{name}"] = source


def run_script(session: Session, text: str, *argv: str, timeout: float = TIMEOUT) -> Any:
    """Feed ``text`` to the guest's Python and parse the JSON it prints."""
    result = session.run("python3", "-I", "-", *argv, input=text, timeout=timeout, check=False)
    if result.exit_status == 127:
        raise TestbedError(
            "the guest has no python3, and the probe needs it",
            hint="add the distro's python3 package to the image recipe, or to the distro's own"
                 " image by a fix of the catalogue",
            detail=result.stderr.strip(),
        )
    if result.exit_status == OVERDUE:
        raise _OverdueTestbedError(
            f"the guest is too slow to be probed, or a program hangs: {result.stderr.strip()}",
            hint="the host may be overloaded: run fewer guests at a time",
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
