"""An architecture that has a name in the matrix, and nothing else yet."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands import checks
from harness.distros import registry
from harness.errors import TestbedError, UsageError
from harness.hypervisor import acceleration, firmware
from harness.image import bootable, finish, labels
from harness.image.twins import deb
from harness.matrix import ARCHES, EMULATOR_PACKAGES
from tests.unit.cli.conftest import Call, call, place

__all__ = ["call", "place"]  # fixtures

NEW = "vax64"  # a name that nothing will ever have
UNKNOWN = f"the harness does not know machines of {NEW}"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Debian 13 has the architecture, its recipe builds it, and its QEMU is installed."""
    debian = registry.find("debian", "13")
    debian = replace(debian, arches=(*debian.arches, NEW),
                     recipe_arches=(*debian.recipe_arches, NEW))  # fmt: skip
    monkeypatch.setattr(registry, "ARCHES", (*ARCHES, NEW))
    monkeypatch.setattr(registry, "all_distros", lambda: (debian,))
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / f"qemu-system-{NEW}").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")


@pytest.mark.usefixtures("named")
def test_its_cells_say_what_is_missing(call: Call) -> None:
    rows = call("matrix", "--cell", f"debian-13/{NEW}")
    assert rows.exit_code == 0, rows.output
    assert "unreachable" in rows.stdout
    assert UNKNOWN in " ".join(rows.stdout.split())
    for words in (["shell"], ["image", "build"]):
        said = call(*words, f"debian-13/{NEW}")
        assert said.exit_code == 4, said.output
        assert UNKNOWN in said.stderr
    (check,) = checks.qemu(NEW)
    assert (check.status, check.found) == (checks.WARN, UNKNOWN)


def test_distros_that_do_not_name_it_say_so_too(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "ARCHES", (*ARCHES, NEW))
    rows = json.loads(call("matrix", "--arch", NEW, "--json").stdout)
    assert {row["cell"].partition("/")[0] for row in rows} >= {"debian-12", "photon-4"}
    told = [row["reason"] for row in rows if row["status"] != "unsupported"]
    assert all(UNKNOWN in reason for reason in told), told


def test_no_image_is_built_for_it_or_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TestbedError, match=UNKNOWN):
        finish.need(NEW)
    with pytest.raises(TestbedError, match=NEW):
        labels.Names.of(NEW, NEW)
    monkeypatch.setattr("platform.machine", lambda: NEW)
    chosen = acceleration.decide(NEW, kernel=Path("/dev/null"))
    assert (chosen.kind, chosen.reason) == ("tcg", UNKNOWN)


def test_all_tables_know_the_same_machines() -> None:
    tables = (
        acceleration._MACHINES, firmware.PACKAGES, firmware._MACHINES, finish._MACHINES,
        labels.LOADERS, bootable.ARCHES, deb.ARCHES,
    )  # fmt: skip
    for table in tables:
        assert set(table) == set(EMULATOR_PACKAGES) <= set(ARCHES)


@pytest.mark.parametrize("field", ["arches", "recipe_arches", "unsupported"])
def test_a_distro_with_an_unknown_one_is_refused(
    field: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = '{"arm64": "no"}' if field == "unsupported" else '("arm64",)'
    (tmp_path / "toy.py").write_text(
        "from dataclasses import replace\n"
        "from harness.distros.debian import DISTROS as ALL\n"
        f'DISTROS = (replace(ALL[0], name="toy", release="1", {field}={value}),)\n'
    )
    monkeypatch.setattr("harness.distros.__path__", [str(tmp_path)])
    registry.all_distros.cache_clear()
    try:
        with pytest.raises(UsageError, match=f"toy-1: {field}: there is no architecture 'arm64'"):
            registry.all_distros()
        assert call("matrix").exit_code == 4
    finally:
        monkeypatch.undo()
        registry.all_distros.cache_clear()
        sys.modules.pop("harness.distros.toy", None)
