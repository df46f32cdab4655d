"""Lines of progress on the screen that pytest writes to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest


def lines(config: pytest.Config) -> Callable[[str], None]:
    """What shows a line of progress while tests run."""
    # Without workers a scenario runs in this process, with its output captured; the screen is
    # where standard output went before.
    output = None if config.getoption("numprocesses", 0) else os.fdopen(os.dup(1), "w")

    def show(line: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if output is not None and config.getoption("capture") != "no":
            print(f"\n{line}", end="", file=output, flush=True)
            return
        if reporter is None:
            print(line, file=sys.stderr, flush=True)  # noqa: T201
        else:
            reporter.ensure_newline()
            reporter.write_line(line)
            reporter.flush()

    return show
