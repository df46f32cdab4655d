"""What docs/adding-a-distro.md says is there of every distro, and that nothing else is needed."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from harness.distros import hints
from harness.distros.base import Distro
from harness.distros.registry import all_distros
from harness.errors import UsageError
from harness.image import recipe
from harness.image.twins import schema
from harness.image.upstream import catalogue
from harness.matrix import ARCHES
from harness.packages import MANAGERS
from tests.unit.cli.conftest import Call, call, place

__all__ = ["call", "place"]  # fixtures

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "adding-a-distro.md"


@pytest.fixture(params=all_distros(), ids=lambda distro: distro.id)
def distro(request: pytest.FixtureRequest) -> Distro:
    it: Distro = request.param
    return it


def test_ids_are_unique() -> None:
    ids = [distro.id for distro in all_distros()]
    assert sorted(set(ids)) == sorted(ids)


def test_it_is_in_the_file_of_its_name(distro: Distro) -> None:
    module = sys.modules[f"harness.distros.{distro.name}"]
    assert distro in module.DISTROS


def test_a_new_file_is_found_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (ROOT / "harness/distros/arch.py").read_text()
    (tmp_path / "toy.py").write_text(source.replace('name="arch"', 'name="toy"'))
    monkeypatch.setattr("harness.distros.__path__", [str(tmp_path)])
    all_distros.cache_clear()
    try:
        assert [distro.id for distro in all_distros()] == ["toy-rolling"]
    finally:
        monkeypatch.undo()
        all_distros.cache_clear()
        sys.modules.pop("harness.distros.toy", None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("DISTROS = (ROLLING,)", "DISTROS = (ROLLING)", "toy.py: DISTROS is no tuple of Distro"),
        ("DISTROS = (ROLLING,)", "DISTROS = (ROLLING, ROLLING)", "toy-rolling is there twice"),
        ('release="rolling"', "release=9", "toy-9: release: 9 is no text; write '9'"),
        ("    title=", "    # title=", r"toy.py:\d+: TypeError: .* missing .*'title'"),
        ("harness.distros.base", "harness.distros.bass", r"toy.py:\d+: ModuleNotFoundError: "),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_mistake_in_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
) -> None:
    source = (ROOT / "harness/distros/arch.py").read_text().replace('name="arch"', 'name="toy"')
    assert old in source
    (tmp_path / "toy.py").write_text(source.replace(old, new))
    monkeypatch.setattr("harness.distros.__path__", [str(tmp_path)])
    all_distros.cache_clear()
    try:
        with pytest.raises(UsageError, match=said):
            all_distros()
    finally:
        monkeypatch.undo()
        all_distros.cache_clear()
        sys.modules.pop("harness.distros.toy", None)


def test_it_has_what_can_be_booted(distro: Distro) -> None:
    if distro.recipe:
        assert recipe.load(distro.recipe).name == distro.id
    elif distro.twin is not None:
        assert schema.load(distro.id).name == distro.id
    else:
        assert distro.id in {upstream.name for upstream in catalogue.load_all().values()}


def test_only_declared_architectures_are_catalogued(distro: Distro) -> None:
    entries = catalogue.load_all().values()
    assert {one.arch for one in entries if one.name == distro.id} <= set(distro.arches)


def test_a_distro_may_have_its_image_alone(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As AlmaLinux, of which there is an entry in the catalogue, and may be no twin."""
    source = (ROOT / "harness/distros/centos.py").read_text()
    source = re.sub(r"(?m)^    twin=\{.*?\},?\n", "", source, flags=re.DOTALL)
    source = source.replace('name="centos"', 'name="alma"').replace('release="7"', 'release="9"')
    (tmp_path / "alma.py").write_text(source)
    monkeypatch.setattr("harness.distros.__path__", [str(tmp_path)])
    all_distros.cache_clear()
    try:
        (alma,) = all_distros()
        assert (alma.id, alma.twin) == ("alma-9", None)
        test_it_has_what_can_be_booted(alma)
        test_its_manager_and_its_architectures_are_known(alma)
        test_it_has_the_hints_that_scenarios_run_everywhere(alma)
        test_it_has_its_rows_in_the_matrix(alma, call)
    finally:
        monkeypatch.undo()
        all_distros.cache_clear()
        sys.modules.pop("harness.distros.alma", None)


def test_its_manager_and_its_architectures_are_known(distro: Distro) -> None:
    assert distro.package_manager in MANAGERS
    assert set(distro.arches) <= set(ARCHES)
    assert set(distro.recipe_arches) <= set(distro.arches)
    assert set(distro.unsupported) <= set(ARCHES)


def test_it_has_the_hints_that_scenarios_run_everywhere(distro: Distro) -> None:
    names = {hint.name for hint in (*distro.hints, *distro.remedies)}
    assert {hints.ROOTFUL_OFF.name, *(hint.name for hint in hints.REMEDIES)} <= names


def test_it_has_its_rows_in_the_matrix(distro: Distro, call: Call) -> None:
    shown = call("matrix", "--distro", distro.id)
    assert shown.exit_code == 0, shown.stderr
    for arch in (*distro.arches, *distro.unsupported):
        assert f"{distro.id}/{arch}" in shown.stdout


def test_no_list_of_distros_is_kept_elsewhere() -> None:
    """A list of their names in the code would be one more file to touch."""
    names = {distro.name for distro in all_distros()}
    for path in (ROOT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict)):
                keys = node.keys if isinstance(node, ast.Dict) else node.elts
                said = {key.value for key in keys if isinstance(key, ast.Constant)}
                assert len(said & names) < 2, f"{path}:{node.lineno}"


def test_the_guide_names_files_that_exist() -> None:
    pattern = r"`((?:harness|images|tests)/[a-z0-9_./-]+\.(?:py|toml))`"
    named = re.findall(pattern, GUIDE.read_text())
    assert "images/catalogue/ubuntu.toml" in named
    for path in named:
        assert (ROOT / path).is_file(), path
