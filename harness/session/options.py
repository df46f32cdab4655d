"""Command-line options of pytest, and the cells that they select."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from harness.distros import registry
from harness.distros.base import Distro
from harness.errors import UsageError
from harness.hypervisor import acceleration
from harness.hypervisor.acceleration import CHOICES
from harness.hypervisor.connection import EMBED
from harness.image.choose import CHOICES as SOURCES
from harness.image.upstream import catalogue
from harness.matrix import Cell, Support, matches, select
from harness.names import instead
from harness.paths import cache, expanded
from harness.rootless import inducing
from harness.rootless.ladder import check_state
from harness.rootless.options import Options
from harness.session import reproduce
from harness.session.sources import sourced

REASONS = 3  # told, of cells that cannot boot
_VERSION = re.compile(r"[^\s/]*[0-9][^\s/]*")
ROWS = pytest.StashKey[list[Support]]()


def add(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "rootless containers on virtual machines")
    option = group.addoption
    option("--cell", action="append", default=[], metavar="GLOB",
           help="run on the cells whose id matches, for example 'debian-12/*' (repeatable; "
                "default: every cell that can boot here)")
    option("--distro", action="append", default=[], metavar="GLOB",
           help="run on the cells of a distro, for example debian or debian-12")
    option("--arch", action="append", default=[], metavar="GLOB",
           help="run on the cells of an architecture")
    option("--engine-version", metavar="VERSION",
           help="install this version of the engine's package, such as 20.10.24; 'harness matrix "
                "--versions CELL' lists those that the archive has")
    option("--list-cells", action="store_true", help="print the selected cells and stop")
    option("--accel", choices=CHOICES, default="auto",
           help="the accelerator of guests of the host's architecture (default: what works)")
    option("--libvirt-uri", default=EMBED, metavar="URI",
           help=f"the libvirt to use (default: {EMBED} under a private root, no daemon)")
    option("--hook", action="append", default=[], metavar="STATE:SCRIPT",
           help="run SCRIPT as root in the guest when STATE is made (repeatable); touch "
                "/run/reboot-required in it to have the guest rebooted afterwards")
    option("--induce", action="append", default=[], metavar="STATE:TRAIT=VALUE",
           help="give the guest this value of a trait when STATE is made (repeatable), for "
                "example prepared:userns-clone=0; `harness trait list` lists them")
    option("--withhold", action="append", default=[], metavar="HINT",
           help="prepare the guest without this hint of its documents (repeatable), for example "
                "photon-subuid; `harness trait list` lists them")
    option("--kernel-args", default="", metavar="TEXT",
           help="append to the guest's kernel command line, for example "
                "'systemd.unified_cgroup_hierarchy=0'")
    option("--image-source", choices=SOURCES, default="auto",
           help="boot images of this source alone; auto: the distro's own where it was fetched "
                "(`harness image fetch CELL`), else a built one (default: auto)")
    option("--installer", metavar="FILE", default="",
           help="a copy of the script that installs without packages (rootless-install.sh), for "
                "guests that cannot fetch it; what it downloads is answered in the guest")
    option("--keep-failed", action="store_true",
           help="leave the guest of each failure running, and say how to enter and end it")
    option("--cache-dir", default=None, metavar="DIR",
           help="images, saved states and leases (default: $ROOTLESS_HARNESS_CACHE or the "
                "user's cache directory)")
    option("--run-dir", default=None, metavar="DIR",
           help="where this run leaves its results (default: a new one below runs/)")  # fmt: skip


def obstacle(distro: Distro, arch: str) -> str:
    """Why this machine cannot boot a cell, in a few words; empty where it can."""
    return acceleration.obstacle(arch)


def selected(config: pytest.Config) -> list[Support]:
    """The rows of the matrix that the options select, with the engine's version where asked."""
    rows = config.stash.get(ROWS, None)
    if rows is None:
        rows = config.stash[ROWS] = _selected(config)
    return rows


def _selected(config: pytest.Config) -> list[Support]:
    known = catalogue.load_all()
    found = select(
        registry.supports(obstacle, known),
        cells=_without_engine(config.getoption("--cell")),
        distros=config.getoption("--distro"),
        arches=config.getoption("--arch"),
    )
    rows = [row for row, _ in sourced(
        found, known, cache(config.getoption("--cache-dir")).images,
        config.getoption("--image-source"), config.getoption("--kernel-args"),
    )]  # fmt: skip
    version, named = config.getoption("--engine-version"), _engine_of(config.getoption("--cell"))
    if version and named:
        raise UsageError(f"--engine-version {version} and a --cell with {named}: name it once")
    if not version and not named:
        return rows
    return [
        replace(row, cell=with_engine(row.cell, version or named))
        if registry.describes(row.cell) and (version or _names_engine(config, row.cell)) else row
        for row in rows
    ]


def _names_engine(config: pytest.Config, cell: Cell) -> bool:
    """Whether a ``--cell`` that selects *cell* names a version of its engine."""
    patterns = [text for text in config.getoption("--cell") if text.count("/") > 1]
    return any(matches(cell, pattern) for pattern in _without_engine(patterns))


def with_engine(cell: Cell, version: str) -> Cell:
    """*cell* with its engine's package in *version*: ``20.10.24`` or ``docker.io=20.10.24``."""
    package = registry.of(cell).engine_package
    name, _, number = version.rpartition("=")
    if name and name != package:
        raise UsageError(f"{cell.id} has the engine package {package}, not {name}")
    if number == package or not _VERSION.fullmatch(number):
        raise UsageError(f"{number!r} is no version of {package}, such as {package}=20.10.24",
                         command=f"harness matrix --versions {cell.id}")  # fmt: skip
    return replace(cell, engine=f"{package}={number}")


def _without_engine(patterns: list[str]) -> list[str]:
    """``debian-12/x86_64/docker.io=20.10.24`` → ``debian-12/x86_64``."""
    return ["/".join(pattern.split("/")[:2]) for pattern in patterns]


def _engine_of(patterns: list[str]) -> str:
    engines = {p.split("/", 2)[2] for p in patterns if p.count("/") > 1}
    if len(engines) > 1:
        raise UsageError(f"one engine version a run, not {', '.join(sorted(engines))}")
    return engines.pop() if engines else ""


def runnable(config: pytest.Config) -> list[Cell]:
    """The selected cells that can boot.  Raises :class:`UsageError` where none was meant to."""
    rows = selected(config)
    cells = [row.cell for row in rows if row.status == "available"]
    if not cells and not any(row.status == "unsupported" for row in rows):
        raise none_can_boot(rows)
    return cells


def none_can_boot(rows: list[Support]) -> UsageError:
    """What is said where none of *rows* is available."""
    reasons = "; ".join(f"{row.cell}: {row.reason}" for row in rows[:REASONS])
    more = f"; and {len(rows) - REASONS} more" if len(rows) > REASONS else ""
    return UsageError(f"none of the selected cells can boot here: {reasons}{more}",
                      command="harness matrix")  # fmt: skip


def of_lab(
    config: pytest.Config, run_id: str, run_dir: Path, progress: Callable[[str], None]
) -> Options:
    get = config.getoption
    return Options(
        cache=cache(get("--cache-dir")), run_id=run_id, run_dir=run_dir, uri=get("--libvirt-uri"),
        accel=get("--accel"), hooks=hooks(config), kernel_arguments=get("--kernel-args"),
        induced=parse_induced(get("--induce")), withheld=tuple(get("--withhold")),
        image_source=get("--image-source"), progress=progress,
    )  # fmt: skip


def carried(config: pytest.Config) -> list[str]:
    """The options that another run of the same needs; a cell's id has the engine's version."""
    return reproduce.carried(
        {name: config.getoption(name) for name in reproduce.CARRIED},
        {"--accel": "auto", "--libvirt-uri": EMBED, "--image-source": "auto"},
    )


def installer(config: pytest.Config) -> Path | None:
    """``--installer`` as the path of a file, where it was given."""
    name = config.getoption("--installer")
    if not name:
        return None
    path = expanded(name)
    if not path.is_file():
        raise UsageError(f"--installer {name}: there is no such file")
    return path.resolve()


def hooks(config: pytest.Config) -> dict[str, tuple[Path, ...]]:
    """``--hook`` as a mapping from state to scripts, in the order given."""
    return parse_hooks(config.getoption("--hook"))


def parse_hooks(texts: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    result: dict[str, tuple[Path, ...]] = {}
    for text in texts:
        state, separator, name = text.partition(":")
        if not separator or not name:
            raise UsageError(f"--hook {text!r} is not STATE:SCRIPT",
                             command="harness run --hook prepared:break-it.sh")  # fmt: skip
        path = expanded(name)
        if not path.is_file():
            raise UsageError(f"--hook {text!r}: there is no file {name}")
        result[check_state(state)] = (*result.get(state, ()), path.resolve())
    return result


def parse_induced(texts: Sequence[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """``--induce`` as a mapping from state to traits and values, in the order given."""
    result: dict[str, tuple[tuple[str, str], ...]] = {}
    for text in texts:
        state, colon, rest = text.partition(":")
        name, equals, value = rest.partition("=")
        if not colon or not equals or not name:
            raise UsageError(f"--induce {text!r} is not STATE:TRAIT=VALUE",
                             command="harness run --induce prepared:userns-clone=0")  # fmt: skip
        inducing.find(name, value)
        result[check_state(state)] = (*result.get(state, ()), (name, value))
    return result


def withheld(config: pytest.Config) -> tuple[str, ...]:
    """``--withhold``, checked against the hints of the selected cells."""
    names = config.getoption("--withhold")
    cells = [row.cell for row in selected(config)] if names else []
    return check_withheld(names, [registry.of(cell) for cell in cells if registry.describes(cell)])


def check_withheld(names: Sequence[str], distros: Sequence[Distro]) -> tuple[str, ...]:
    """*names*; or :class:`UsageError` where none of *distros* is prepared with a hint of one."""
    known = sorted({hint.name for one in distros for hint in (*one.before, *one.hints)})
    for name in names:
        if name not in known:
            raise UsageError(
                f"--withhold {name!r}: no selected cell is prepared with such a hint;"
                f" {instead(name, known, 'hints')}", command="harness trait list",
            )  # fmt: skip
    return tuple(names)


BUGS = "bugs"


def without_bugs(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """The items but the reproductions of bugs, which are many: they run when they are named, by
    ``-m bugs`` or by their file."""
    if BUGS in config.getoption("markexpr") or any(f"test_{BUGS}" in arg for arg in config.args):
        return items
    return [item for item in items if item.get_closest_marker(BUGS) is None]


def skipped_once(items: list[pytest.Item]) -> list[pytest.Item]:
    """The items, of which one alone says why the cells that were asked for can never boot."""
    idle = [item for item in items if item.name.endswith("[NOTSET]")]  # pytest's word for no cell
    return [item for item in items if item not in idle[1:]]


def in_turns(items: list[pytest.Item]) -> list[pytest.Item]:
    """The items, each scenario beginning with another of its cells than the one before: workers
    that start together then make the images of different cells, and none waits for the other."""
    ordered: list[pytest.Item] = []
    by_scenario = groupby(items, key=lambda item: item.nodeid.partition("[")[0])
    for turn, (_, group) in enumerate(by_scenario):
        cells = list(group)
        first = turn % len(cells)
        ordered += cells[first:] + cells[:first]
    return ordered
