"""The end of a run, step by step: trouble in one must not cost the report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import pytest

from harness.errors import HarnessError
from harness.results.known_issues import KnownIssue
from harness.results.store import RunStore
from harness.results.summary import EXIT_FINDING, EXIT_OK, EXIT_TESTBED, exit_status
from harness.results.text import printable
from harness.rootless.housekeeping import keep_house
from harness.session import options
from harness.session.fixtures import Session
from harness.session.outcome import told
from harness.session.run import ControlledRun
from harness.session.suspicion import suspect
from harness.session.unreached import decide_unreached


class Ending:
    """Whether a step ``broke`` or was ``interrupted``; *show* tells a line to the user."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.broke = False
        self.interrupted: KeyboardInterrupt | None = None
        self._show = show

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """*what* is done by the block, and if it cannot be, the next step is done all the same."""
        try:
            yield
        except KeyboardInterrupt as error:
            self.interrupted = error
        except Exception as error:
            self.broke = True
            with contextlib.suppress(OSError):
                self._show(printable(f"{what}: {told(error)}"))

    def status(self, of_rows: int) -> int:
        """The exit status, given that *of_rows*: what broke here is no finding."""
        if self.interrupted:
            return int(pytest.ExitCode.INTERRUPTED)
        return EXIT_TESTBED if self.broke and of_rows == EXIT_OK else of_rows


def end(
    config: pytest.Config, session: Session, controlled: ControlledRun, store: RunStore,
    status: int, known: Sequence[KnownIssue],
) -> int:  # fmt: skip
    """Decide what is left, end the guests and close the run, whose *status* is pytest's so far;
    *known* are the known issues.  Returns the run's exit status."""
    ending = Ending(controlled.show)
    if status in (EXIT_OK, EXIT_FINDING):
        cells = [row.cell for row in options.selected(config)]
        with ending.step("states that were not reached could not be decided"):
            decide_unreached(session, store, cells, known)
        if not ending.interrupted:
            with ending.step("what may be at fault could not be looked for"):
                suspect(session, store, cells)
    with ending.step("guests of this run may be left"):
        session.close()
    with ending.step("guests of this run may be left"):
        controlled.stop()
    # What cannot be tidied up now is tidied up next time.
    with ending.step("the cache was not tidied"), contextlib.suppress(HarnessError, OSError):
        if removed := str(keep_house(controlled.cache)):
            controlled.show(f"removed from the cache: {removed}")
    status = exit_status(store.run.rows, status)
    with ending.step("the report in run.json is not complete"):
        store.finish(ending.status(status))
    if ending.interrupted:
        excinfo = pytest.ExceptionInfo.from_exception(ending.interrupted)
        config.hook.pytest_keyboard_interrupt(excinfo=excinfo)
    return ending.status(status)
