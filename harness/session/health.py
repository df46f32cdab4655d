"""Whether a guest was fit to show what a scenario found in it."""

from __future__ import annotations

from pathlib import Path

from harness.errors import HarnessError, TestbedError
from harness.guest.guest import Guest
from harness.session.decide import Decider


def check(guest: Guest, decider: Decider, run_dir: Path) -> None:
    """Raise :class:`TestbedError` where *guest* was not fit to show what was found, which then
    is the test bed's too.  See :meth:`harness.guest.guest.Guest.check_health`."""
    if guest.ended:
        return
    try:
        guest.check_health()
    except TestbedError as error:
        note, hint, detail = parts(error)
        decider.retract(note=note, evidence=detail, next_step=hint, log=console(guest, run_dir))
        raise


def console(guest: Guest, run_dir: Path) -> str:
    """The path of *guest*'s, seen from the run's directory where it is there."""
    path = guest.console_path
    return str(path.relative_to(run_dir) if path.is_relative_to(run_dir) else path)


def parts(error: BaseException) -> tuple[str, str, str]:
    """The note, the next step and the evidence of an error's row."""
    what, hint, detail = f"{type(error).__name__}: {error}", "", ""
    if isinstance(error, HarnessError):
        what, hint, detail = error.what, error.hint, error.detail
    return what.splitlines()[0][:300], hint, detail
