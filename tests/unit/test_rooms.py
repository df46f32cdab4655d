"""Walls between the rooms, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HARNESS = sorted((ROOT / "harness").rglob("*.py"))

# A room may import the rooms named here, and itself.
BELOW = {
    "image": set(),
    "hypervisor": {"image"},
    "guest": {"hypervisor", "image"},
    "packages": {"guest"},
    "distros": set(),
    "results": set(),
    "rootless": {"distros", "packages", "guest", "hypervisor", "image", "results"},
    "session": {"rootless", "results", "distros", "packages", "guest", "hypervisor", "image"},
}
SHARED = {"errors", "matrix", "names", "paths", "toml", "__init__"}


def imports(path: Path) -> set[str]:
    """Dotted names of every module that *path* imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    relative = path.relative_to(ROOT / "harness")
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@pytest.mark.parametrize(
    ("library", "home"), [("libvirt", "hypervisor"), ("paramiko", "guest")]
)
def test_a_library_stays_in_its_room(library: str, home: str) -> None:
    users = {
        room(path) for path in HARNESS
        if any(name == library or name.startswith(f"{library}.") for name in imports(path))
    }  # fmt: skip
    assert users == {home}


@pytest.mark.parametrize("path", HARNESS, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_down(path: Path) -> None:
    here = room(path)
    if here not in BELOW:
        return  # a face: it may import every room
    rooms = {
        name.split(".")[1] for name in imports(path)
        if name.startswith("harness.") and name.split(".")[1] not in SHARED
    }  # fmt: skip
    rooms.discard("__version__")
    allowed = BELOW[here] | {here}
    # The rules speak in values that results defines; results knows nothing of rules.
    assert rooms <= allowed, f"{here} reaches up to {rooms - allowed}"


def distro_names() -> set[str]:
    from harness.distros.registry import all_distros

    return {distro.name for distro in all_distros()}


def compared_strings(path: Path) -> set[str]:
    """String constants on either side of ==, !=, in and not in, and in match cases."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                for part in ast.walk(side):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        found.add(part.value)
        elif isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant):
            found.add(str(node.value.value))
    return found


# Asks which archive the *host* installs from; no cell is meant.
ABOUT_THE_HOST = ROOT / "harness" / "image" / "mirror.py"


@pytest.mark.parametrize(
    "path",
    [
        *(p for p in HARNESS if room(p) != "distros" and p != ABOUT_THE_HOST),
        *sorted((ROOT / "scenarios").glob("*.py")),
    ],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_no_condition_on_a_distro_outside_distros(path: Path) -> None:
    assert not compared_strings(path) & distro_names()


def test_scenarios_use_the_harness_through_its_fixtures() -> None:
    for path in (ROOT / "scenarios").glob("*.py"):
        reached = {n.split(".")[1] for n in imports(path) if n.startswith("harness.")}
        assert "hypervisor" not in reached, path
        assert "image" not in reached, path
