"""Twins in the matrix, in ids, and out of the way of a real image."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.distros import registry
from harness.distros.photon import PHOTON_4
from harness.distros.registry import support
from harness.image.choose import Standing
from harness.image.twins import repository
from harness.matrix import Cell, select
from harness.rootless import ladder, sourcing, twins
from harness.session.sources import sourced
from tests.unit.cli.conftest import Call

TWIN = Cell("photon", "4", "x86_64", twin=True)


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has all that twins need."""
    monkeypatch.setattr(repository, "missing_tools", lambda twin: [])
    monkeypatch.setattr("shutil.which", lambda name, **_: f"/usr/bin/{name}")


def test_a_twin_says_so_in_its_id() -> None:
    assert TWIN.id == "photon-4/x86_64+twin"
    assert replace(TWIN, engine="docker=1").id == "photon-4/x86_64+twin/docker=1"


@pytest.mark.parametrize("pattern", ["photon-4/x86_64", "photon-4/x86_64+twin", "photon-*"])
def test_both_names_select_it(pattern: str) -> None:
    rows = [replace(support(PHOTON_4, "x86_64"), cell=TWIN)]
    assert select(rows, cells=[pattern]) == rows
    assert select([support(PHOTON_4, "x86_64")], cells=[pattern])


def test_it_stands_in_where_there_is_no_image(able: None, tmp_path: Path) -> None:
    (found,) = sourced([support(PHOTON_4, "x86_64")], {}, tmp_path)
    assert (found.row.status, found.row.source, found.row.cell) == ("available", "twin", TWIN)
    assert found.why.startswith("a stand-in on debian-11")


def test_a_real_image_takes_its_place(
    able: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sourcing, "upstream", lambda *_: Standing("ready", "the distro's own"))
    (found,) = sourced([support(PHOTON_4, "x86_64")], {}, tmp_path)
    assert (found.row.source, found.row.cell.id) == ("upstream", "photon-4/x86_64")
    (asked,) = sourced([support(PHOTON_4, "x86_64")], {}, tmp_path, "twin")
    assert asked.row.cell == TWIN


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "missing_tools", lambda twin: ["rpmbuild"])
    (found,) = sourced([support(PHOTON_4, "x86_64")], {}, tmp_path)
    assert found.row.status == "unreachable"
    assert "twin: its packages cannot be made without rpmbuild" in found.row.reason
    (other,) = sourced([support(PHOTON_4, "aarch64")], {}, tmp_path)
    assert "written for photon-4/x86_64 alone" in other.row.reason


def test_its_distro_documents_what_the_base_has() -> None:
    plain = Cell("photon", "4", "x86_64")
    assert registry.of(plain).traits_of(plain)["engine"] == "24.0.9"
    assert registry.of(TWIN).traits_of(TWIN)["engine"] == "20.10.5"
    assert registry.of(TWIN).traits_of(TWIN)["userns-clone"] == "1"


def test_the_state_is_another_when_the_packages_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.unit.image.twins.test_repository import image_at

    one, other = image_at(Path("/a"), "sha256:1"), image_at(Path("/a"), "sha256:2")
    assert twins.definition("photon-4", one) == twins.definition("photon-4", one)
    assert twins.definition("photon-4", one) != twins.definition("photon-4", other)
    assert twins.definition("photon-4", one) != twins.definition("centos-7", one)


def test_the_vault_comes_before_the_packages_and_the_guests_user_into_hints() -> None:
    centos = registry.find("centos", "7")
    (first, *_) = ladder.definition("prepared", Cell("centos", "7", "x86_64"), centos)
    assert first[0][0] == "vault"
    hint = PHOTON_4.hint("photon-subuid")
    assert hint.commands_for("tester") == ('echo "tester:100000:65536" >> /etc/subuid',)
    assert centos.hint("vault").commands_for("tester") == centos.hint("vault").commands


def test_the_command_line(able: None, call: Call) -> None:
    rows = json.loads(call("matrix", "--cell", "photon-4/x86_64", "--json").stdout)
    assert [(r["cell"], r["source"]) for r in rows] == [("photon-4/x86_64+twin", "twin")]
    built = call("image", "build", "photon-4/x86_64")
    assert built.exit_code == 4
    assert "its guests boot the one of debian-11" in built.stderr
    assert "harness image build debian-11/x86_64" in built.stderr
