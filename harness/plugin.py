"""The pytest plugin: thin.  Options, fixtures and the way of rows from workers to the run."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Generator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.commands.face import end_as_ctrl_c
from harness.errors import GuestRefusal, HarnessError, TestbedError, UsageError
from harness.matrix import Cell
from harness.paths import cache, project, runs
from harness.results import terminal, text
from harness.results.known_issues import documents
from harness.results.model import Row
from harness.results.run import CellInfo, ImageInfo
from harness.results.summary import EXIT_TESTBED
from harness.session import beforehand, junit, options, outcome, reproduce, screen
from harness.session import run as runs_module
from harness.session.decide import Decider, Finding, describe
from harness.session.ending import end
from harness.session.fixtures import (  # noqa: F401
    DECIDER,
    FAILED,
    GUEST,
    SESSION,
    Session,
    context,
    decide,
    distro,
    docker,
    guest,
    installer,
    lab,
    new_guest,
)

RUN = pytest.StashKey[runs_module.ControlledRun]()
JUNIT = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def _worker(config: pytest.Config) -> dict[str, Any] | None:
    return getattr(config, "workerinput", None)


@pytest.hookimpl(tryfirst=True)  # before the plugin that writes JUnit XML looks at its option
def pytest_configure(config: pytest.Config) -> None:
    worker = _worker(config)
    if worker is not None:
        run_id, run_dir, start = worker["harness_run"]
        end_as_ctrl_c()  # or a build would be left half done and running
    else:
        run_id = runs_module.new_id()
        run_dir = str(runs(config.getoption("--run-dir") or runs() / run_id))
        start = reproduce.prefix(sys.argv[0])
    config.stash[SESSION] = Session(config, run_id, Path(run_dir), start)
    if worker is None:
        config.stash[RUN] = runs_module.ControlledRun(
            run_id, Path(run_dir), cache(config.getoption("--cache-dir")), screen.lines(config)
        )
        config.stash[JUNIT] = junit.by_default(config, Path(run_dir), project() / "scenarios")


_documents = functools.cache(documents)  # who edits them meanwhile means the next run


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: tell each worker which run it works for."""
    session = node.config.stash[SESSION]
    node.workerinput["harness_run"] = (
        session.run_id, str(session.run_dir), session.start
    )  # fmt: skip


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    try:
        if config.getoption("--list-cells"):
            for row in options.selected(config):
                reason = f"  ({row.reason})" if row.reason else ""
                print(f"{row.cell.id:32} {row.status}{reason}")  # noqa: T201
            return 0
        worker = _worker(config) is not None
        if not worker:
            end_as_ctrl_c()  # fixtures are torn down, guests end
            _documents()
        beforehand.check(config, worker=worker)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    except (HarnessError, OSError) as error:
        print(text.printable(outcome.whole(error)), file=sys.stderr)  # noqa: T201
        return EXIT_TESTBED
    except KeyboardInterrupt as interrupt:
        excinfo = pytest.ExceptionInfo.from_exception(interrupt)
        config.hook.pytest_keyboard_interrupt(excinfo=excinfo)
        print("interrupted", file=sys.stderr)  # noqa: T201
        return pytest.ExitCode.INTERRUPTED
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not {"cell", "decide"} <= set(metafunc.fixturenames):
        return
    try:
        cells = options.runnable(metafunc.config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    metafunc.parametrize("cell", cells, ids=[cell.id for cell in cells])


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept = options.skipped_once(options.without_bugs(config, items))
    left_out = [item for item in items if item not in kept]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = options.in_turns(kept) if all(map(_is_scenario, kept)) else kept


def _is_scenario(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "decide" in item.fixturenames


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if not _is_scenario(item):
        return
    assert isinstance(item, pytest.Function)
    cell = item.callspec.params["cell"]
    if not isinstance(cell, Cell):  # pytest's own word for an empty set of parameters
        rows = options.selected(item.config)
        pytest.skip("; ".join(f"{row.cell} is {row.status}: {row.reason}" for row in rows))
    item.stash[DECIDER] = Decider(context(item, cell, _documents()[1]))
    item.stash[FAILED] = False


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    try:
        result = yield
    except GuestRefusal as refusal:
        # An answer of the guest is not asked for again, whatever it came of: --only-rerun goes
        # through the causes.
        raise refusal from None
    decider = pyfuncitem.stash.get(DECIDER, None)
    if decider is not None:
        left = decider.undecided()
        if left:
            raise TestbedError(f"the scenario ended without deciding {', '.join(left)}",
                               hint="this is a bug of the scenario")  # fmt: skip
        findings = decider.findings()
        if findings:
            outcome.check_health(pyfuncitem, decider)
            raise Finding("\n".join(describe(row) for row in findings))
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    decider = item.stash.get(DECIDER, None)
    if decider is None:
        return report
    error = call.excinfo.value if call.excinfo else None
    rows: list[Row] | None = None
    if error is not None and not isinstance(error, KeyboardInterrupt):
        if report.when == "teardown":
            rows = outcome.after(item, decider, error, report)
        else:
            outcome.account(item, decider, error, report)
    if report.when == "call" or (report.when == "setup" and error is not None):
        rows = decider.rows
    if rows is not None:
        report.harness_rows = [row.to_json() for row in rows]  # type: ignore[attr-defined]
        report.harness_cell = outcome.cell_info(item)  # type: ignore[attr-defined]
        for row in rows:
            report.user_properties.append((f"{row.rule} {row.cell}".strip(), str(row.verdict)))
    return report


@runs_module.storing()
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """On the controller: take a worker's rows into the run."""
    if _controller is None:
        return
    rows = getattr(report, "harness_rows", None)
    speechless = rows is None and report.failed and _of_scenario(report.nodeid)
    if rows is None and not speechless:
        return
    controlled = _controller.stash[RUN]
    _begin(_controller)
    assert controlled.store is not None
    if rows is None:
        cells = [row.cell for row in options.selected(_controller)]
        start = _controller.stash[SESSION].start
        controlled.store.add_rows(
            outcome.crashed(report, cells, start, options.carried(_controller))
        )
        return
    info = report.harness_cell
    if info is not None:
        image = ImageInfo(**info["image"]) if info["image"] else None
        # A scenario that starts below `prepared` knows less of the cell than one before it.
        known = [cell for cell in controlled.store.run.cells if cell.cell == info["cell"]]
        if info["engine"] or not any(cell.facts for cell in known):
            controlled.store.add_cell(CellInfo(**{**info, "image": image}))
    # What of no claim broke is told, if it does, by the same scenario when it is run again.
    again = report.outcome == "rerun"  # type: ignore[comparison-overlap]
    kept = [row for row in rows if row["claim"] or not again]
    controlled.store.add_rows(*(Row.from_json(row) for row in kept))


def _of_scenario(nodeid: str) -> bool:
    return nodeid.startswith("scenarios/")


_controller: pytest.Config | None = None


def pytest_sessionstart(session: pytest.Session) -> None:
    global _controller
    if _worker(session.config) is None:
        _controller = session.config


def _begin(config: pytest.Config) -> None:
    try:
        config.stash[RUN].begin(
            options.selected(config), config.getoption("--accel"), config.getoption("--libvirt-uri")
        )
    except (HarnessError, OSError) as error:  # the disk is full, or not ours to write to
        if config.stash.get(JUNIT, False):
            junit.withdraw(config)
            config.stash[JUNIT] = False
        pytest.exit(outcome.whole(error), EXIT_TESTBED)


def pytest_collection_finish(session: pytest.Session) -> None:
    if _worker(session.config) is not None or session.config.option.collectonly:
        return
    if any(_is_scenario(item) for item in session.items):
        _begin(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    if any(map(_of_scenario, ids)):
        _begin(node.config)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    controlled = config.stash.get(RUN, None)
    if controlled is not None and controlled.store is not None:
        session.exitstatus = end(
            config, config.stash[SESSION], controlled, controlled.store, int(exitstatus),
            _documents()[1],
        )  # fmt: skip
        return
    if SESSION in config.stash:
        config.stash[SESSION].close()
    if controlled is not None and config.stash.get(JUNIT, False):
        junit.withdraw(config)


def pytest_terminal_summary(config: pytest.Config) -> None:
    controlled = config.stash.get(RUN, None)
    if controlled is None or controlled.store is None:
        return
    claims, issues = _documents()
    terminal.render(
        terminal.make_console(), controlled.store.run, claims=claims, issues=issues,
        today=date.today(), directory=str(controlled.directory),
    )  # fmt: skip


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last word, also after an interruption: no guest of this run stays."""
    if SESSION in config.stash:
        config.stash[SESSION].close()
    if RUN in config.stash:
        with contextlib.suppress(HarnessError, OSError):  # told at the session's end
            config.stash[RUN].stop()
