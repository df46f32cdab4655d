"""``harness run``: pytest on this project's scenarios."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.commands.face import INTERRUPTED
from harness.errors import UsageError
from harness.matrix import ARCHES
from harness.paths import project

# -v: a line a scenario.  -rN: the report says it better than pytest's short summary.
STYLE = ("-v", "-rN")
# Options whose value may be a scenario, and is none that should run.
OF_A_PATH = ("--deselect", "--ignore", "--ignore-glob", "--confcutdir", "--rootdir", "-c")
_CELL = re.compile(rf"[a-z]+-[^/:]+/({'|'.join(ARCHES)}|\*)([+/].*)?")


@click.command(
    context_settings={"ignore_unknown_options": True}, options_metavar="[PYTEST OPTIONS]"
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[SCENARIO]...")
def run(arguments: tuple[str, ...]) -> int:
    """Run scenarios on guests and show the report.

    Every option goes to pytest.  Without a SCENARIO all of scenarios/ are run, on every cell
    that can boot here.

    \b
    Examples:
      harness run --cell debian-12/x86_64 -n 2
      harness run --cell 'debian-*/x86_64' -m ports
      harness run scenarios/test_ports.py -k port_80
      harness run --hook prepared:break-it.sh --keep-failed

    \b
    Options of the harness:
      --cell GLOB, --distro GLOB, --arch GLOB   which cells (repeatable)
      --engine-version VERSION                  another version of the engine's package
      --hook STATE:SCRIPT                       run SCRIPT as root when STATE is made
      --induce STATE:TRAIT=VALUE                give the guest this value of a trait
      --withhold HINT                           prepare the guest without this hint
      --kernel-args TEXT                        append to the guest's kernel command line
      --installer FILE                          a copy of the script that needs no packages
      --image-source auto|upstream|built|twin   which images (auto: upstream's once fetched)
      --keep-failed                             leave the guest of each failure running
      --accel auto|kvm|tcg, --libvirt-uri URI   how guests are run
      --cache-dir DIR, --run-dir DIR            where things are kept
      --list-cells                              print the selected cells and stop

    \b
    Options of pytest that are often wanted:
      -n N                 N guests at once
      -k TEXT, -m MARKER   some scenarios: by name, by topic
      --reruns N           repeat what fails; what then differs is flaky
      --collect-only       list the scenarios
      --junitxml FILE      instead of junit.xml in the run's directory

    Exit status: 0 no finding, 1 a finding, 16 the test bed broke, 130 interrupted; pytest's
    own are 2 (scenarios could not be collected), 3, 4 (usage) and 5 (nothing selected).
    """
    import pytest

    _no_cells(arguments)
    ended = Ended()
    status = int(pytest.main(command_line(arguments), plugins=[ended]))
    return INTERRUPTED if ended.by_user and status == pytest.ExitCode.INTERRUPTED else status


class Ended:
    """A plugin that knows whether the user ended the run: pytest has one status for that and for
    scenarios that could not be collected.  It also has pytest say `harness run` of itself."""

    by_user = False

    def pytest_addoption(self, parser: Any) -> None:
        parser.prog = "harness run"  # in what is said of wrong usage

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        # pytest's own reasons to stop are of classes below it
        self.by_user = type(excinfo.value) is KeyboardInterrupt


def _no_cells(arguments: Sequence[str]) -> None:
    """Raise :class:`UsageError` for a word where a scenario is expected that is like a cell."""
    before = ("", *arguments)
    for word, last in zip(arguments, before, strict=False):
        if _CELL.fullmatch(word) and not last.startswith("-") and not Path(word).exists():
            raise UsageError(f"{word} is no scenario; did you mean --cell {word}?",
                             command=f"harness run --cell {shlex.quote(word)}")  # fmt: skip


def command_line(arguments: Sequence[str]) -> list[str]:
    """pytest's arguments, the same from every directory."""
    root = project()
    if not (root / "scenarios").is_dir():
        raise UsageError(f"there are no scenarios in {root}",
                         hint="install the checkout itself: pip install -e .")  # fmt: skip
    before = ("", *arguments)
    found = ["" if last in OF_A_PATH else _scenario(word, root)
             for word, last in zip(arguments, before, strict=False)]  # fmt: skip
    paths = [path for path in found if path] or [str(root / "scenarios")]
    rest = [word for word, path in zip(arguments, found, strict=True) if not path]
    # Paths first: an option that pytest does not know yet may take a value.
    return [*paths, f"--rootdir={root}", "-c", str(root / "pyproject.toml"), *STYLE, *rest]


def _scenario(word: str, root: Path) -> str:
    """The absolute path where *word* names a file of scenarios or one of its tests, else ""."""
    name, separator, test = word.partition("::")
    if word.startswith("-") or not name:
        return ""
    for base in (Path.cwd(), root):
        path = (base / name).resolve()
        inside = path == root / "scenarios" or root / "scenarios" in path.parents
        if inside and path.exists():
            return f"{path}{separator}{test}"
    return ""
