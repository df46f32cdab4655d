"""The documents: links lead somewhere, files exist, and commands can be typed as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness.cli import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("images/**/*.md")])
OURS = r"(?:harness|images|scenarios|tests|docs|tools)/[a-z0-9_./-]+\.[a-z]+"


@pytest.fixture(params=PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def anchors(path: Path) -> set[str]:
    """Those that headings get where the pages are read."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
        found.add(plain.replace(" ", "-"))
    return found


def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if re.match("https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(f"`({OURS})`", page.read_text()):
        assert (ROOT / name).exists(), name


def test_it_is_of_no_machine(page: Path) -> None:
    """No home of anybody; a checkout and a cache are where the reader has them."""
    assert not re.findall(r"(?<![\w.~$/])/(?:root|home|work)/(?!tester)[a-z]\S*", page.read_text())


# commands


def commands() -> Iterator[tuple[str, str]]:
    """(page, command line) of every command of ours in a block of code or between backticks."""
    for path in PAGES:
        text = path.read_text()
        blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for line in lines:
            line = re.sub(r"^(\$ |\.venv/bin/)+", "", line.strip())
            if re.match(r"(harness|pytest|make) [a-z-]", line):
                yield path.name, line


def words(line: str) -> list[str]:
    """Without a comment, a pipe, what is left out, and what a guest is to run."""
    line = re.split(r"\s[|>]\s|\s&&|\s#|\s…", line)[0]
    try:
        found = shlex.split(line.replace("…", ""))
    except ValueError:
        return []  # cut off in the middle
    return found[: found.index("--")] if "--" in found else found


def given(found: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in found if re.match("--[a-z]", word)]


@pytest.fixture(scope="session")
def of_pytest() -> str:
    said = subprocess.run([sys.executable, "-m", "pytest", "--help"], cwd=ROOT, text=True,
                          capture_output=True, check=True)  # fmt: skip
    return said.stdout


LINES = sorted(set(commands()))


def test_there_are_commands() -> None:
    assert len(LINES) > 60


@pytest.mark.parametrize(("page_name", "line"), LINES)
def test_a_command_exists_with_its_options(page_name: str, line: str, of_pytest: str) -> None:
    first, *rest = words(line) or [""]
    if first == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in rest if "=" not in word} <= set(targets)
    elif first == "pytest" or rest[:1] == ["run"]:
        for option in given(rest):
            assert re.search(rf"(^|[\s,]){option}\b", of_pytest), option
        for word in rest:
            name = word.partition("::")[0]
            assert not re.match("(scenarios|tests)/", name) or list(ROOT.glob(name)), name
    elif first == "harness":
        _check(rest)


def _check(rest: list[str]) -> None:
    here: click.Command = main
    context = click.Context(here, info_name="harness")
    while isinstance(here, click.Group) and rest and not rest[0].startswith("-"):
        if re.fullmatch(r"[A-Z.|]+|\w+(\|\w+)+", rest[0]):
            return  # COMMAND, or fetch|check: a manner of speaking
        found = here.get_command(context, rest[0])
        assert found is not None, rest[0]
        here, rest = found, rest[1:]
    options = {name for one in here.params for name in (*one.opts, *one.secondary_opts)}
    assert set(given(rest)) <= {*options, "--help", "--version"}, here.name


def test_what_the_test_bed_broke_is_asked_again_everywhere() -> None:
    """An error of any class that ends in a testbed-error, unless its guest idled."""
    options = "--only-rerun TestbedError --only-rerun RestoreError --only-rerun CommandTimeout"
    assert options in (ROOT / "Makefile").read_text()
    assert options in (ROOT / "tox.ini").read_text()
    for page in ("running-nightly", "hypervisor"):
        told = (ROOT / "docs" / f"{page}.md").read_text()
        assert "--only-rerun 'TestbedError|RestoreError|CommandTimeout'" in told
