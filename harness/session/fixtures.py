"""The fixtures that scenarios are written with."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.distros import registry
from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.matrix import Cell
from harness.rootless import engine, kept
from harness.rootless.engine import Docker
from harness.rootless.lab import Lab
from harness.rootless.ladder import check_state
from harness.session import health, options, reproduce, run
from harness.session.decide import Context, Decider

DECIDER = pytest.StashKey[Decider]()
GUEST = pytest.StashKey[Guest]()
SESSION = pytest.StashKey["Session"]()


class Session:
    """What one process of the run knows: where the run lives, and its lab."""

    def __init__(
        self, config: pytest.Config, run_id: str, run_dir: Path, start: list[str]
    ) -> None:
        self.config = config
        self.start = start  # of the command that runs a scenario again
        self.run_id = run_id
        self.run_dir = run_dir
        self._lab: Lab | None = None
        self.told: set[tuple[str, str]] = set()

    def progress(self, text: str) -> None:
        run.append_progress(self.run_dir, text)

    @property
    def lab(self) -> Lab:
        if self._lab is None:
            self._lab = Lab(
                options.of_lab(self.config, self.run_id, self.run_dir, self.progress)
            )
        return self._lab

    def close(self) -> None:
        if self._lab is not None:
            self._lab.close()
            self._lab = None


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Lab:
    """Guests for the asking; ended with the session."""
    return pytestconfig.stash[SESSION].lab


@pytest.fixture(scope="session")
def installer(pytestconfig: pytest.Config) -> Path | None:
    """The copy of the script for machines without packages, where one was given."""
    return options.installer(pytestconfig)


@pytest.fixture
def distro(cell: Cell) -> Distro:
    """The distro of the scenario's cell: packages, hints, documented traits."""
    return registry.of(cell)


def state_of(node: pytest.Item) -> str:
    marker = node.get_closest_marker("state")
    return check_state(marker.args[0] if marker else "daemon")


@pytest.fixture
def decide(request: pytest.FixtureRequest, cell: Cell, distro: Distro) -> Decider:
    """``decide(key, observed, evidence)``: judge an observation; see :class:`Decider`."""
    decider: Decider = request.node.stash[DECIDER]
    return decider


@pytest.fixture
def new_guest(
    request: pytest.FixtureRequest, cell: Cell, distro: Distro, lab: Lab, decide: Decider
) -> Iterator[Callable[[str], Guest]]:
    """A function from a state to a guest at it, for scenarios that need several in turn.

    One guest at a time: asking for the next ends the one before, and first looks whether that
    was fit to show what was found in it, if anything was.
    """
    with contextlib.ExitStack() as stack:

        def give(state: str) -> Guest:
            before = request.node.stash.get(GUEST, None)
            if before is not None and decide.findings():
                health.check(before, decide, request.config.stash[SESSION].run_dir)
            stack.close()
            guest = lab.guest(cell, distro, check_state(state))
            stack.callback(guest.end)
            decide.facts = decide.facts or guest.facts
            request.node.stash[GUEST] = guest
            return guest

        yield give
        _after(request, cell, lab, stack)


@pytest.fixture
def guest(new_guest: Callable[[str], Guest], request: pytest.FixtureRequest) -> Guest:
    """A guest at the state of the scenario's marker (``daemon`` without one), touched by nobody."""
    return new_guest(state_of(request.node))


def _after(
    request: pytest.FixtureRequest, cell: Cell, lab: Lab, stack: contextlib.ExitStack
) -> None:
    """Keep the logs of a guest whose scenario failed, and the guest itself where asked."""
    guest = request.node.stash.get(GUEST, None)
    if guest is None or not request.node.stash.get(FAILED, False):
        return
    name = request.node.name.split("[")[0]
    session = request.config.stash[SESSION]
    with contextlib.suppress(Exception):
        lab.keep_guest_logs(guest, cell, name)
        (lab.logs(cell) / f"{name}-daemon.log").write_text(
                engine.daemon_log(guest), "utf-8"
            )
    if request.config.getoption("--keep-failed") and guest.machine.running:
        session.progress(kept.keep(lab, guest, name))
        stack.pop_all()


FAILED = pytest.StashKey[bool]()


@pytest.fixture
def docker(guest: Guest) -> Docker:
    """The test user's client on the rootless daemon."""
    return engine.rootless(guest)


def context(item: pytest.Function, cell: Cell, known: object) -> Context:
    """The context of one scenario's decisions."""
    marker = item.get_closest_marker("claims")
    keys = tuple(str(arg) for arg in marker.args) if marker else ()
    scenario = item.nodeid.split("[")[0]
    return Context(
        cell=cell, distro=registry.of(cell), scenario=scenario, state=state_of(item), keys=keys,
        known=known,  # type: ignore[arg-type]
        reproduce=reproduce.command(
            item.config.stash[SESSION].start, scenario, cell.id, options.carried(item.config)
        ),
    )  # fmt: skip
