from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.distros.base import NO_IMAGE, Distro
from harness.distros.registry import all_distros, find, of, supports
from harness.errors import UsageError
from harness.matrix import ARCHES, Cell, select
from harness.rootless.traits import TRAITS, trait

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=all_distros(), ids=lambda distro: distro.id)
def distro(request: pytest.FixtureRequest) -> Distro:
    it: Distro = request.param
    return it


def test_the_goals_distros_are_all_there() -> None:
    wanted = {"photon-4", "debian-12", "arch-rolling", "opensuse-leap-15.6",
              "opensuse-tumbleweed", "centos-7"}  # fmt: skip
    assert wanted <= {distro.id for distro in all_distros()}
    assert len({distro.id for distro in all_distros()}) == len(all_distros())


def test_documented_traits_exist_and_can_have_their_values(distro: Distro) -> None:
    for name, value in distro.traits.items():
        it = trait(name)
        assert it.open or value in it.values, (name, value)


def test_hints_cure_traits_that_exist(distro: Distro) -> None:
    names = [hint.name for hint in (*distro.hints, *distro.remedies)]
    assert len(set(names)) == len(names)
    for hint in (*distro.hints, *distro.remedies):
        assert hint.trait in TRAITS
        assert hint.source
        assert hint.commands
        assert hint in distro.hints_for(hint.trait)
        assert distro.hint(hint.name) is hint


def test_commands_are_run_as_root_so_none_begins_with_sudo(distro: Distro) -> None:
    for hint in (*distro.hints, *distro.remedies):
        assert not any(command.startswith("sudo") for command in hint.commands)


def test_an_unknown_hint_is_refused(distro: Distro) -> None:
    with pytest.raises(UsageError, match=distro.id):
        distro.hint("nonsense")


def test_the_engine_is_among_the_packages(distro: Distro) -> None:
    assert distro.engine_package in distro.packages


def test_recipes_exist(distro: Distro) -> None:
    if distro.recipe:
        assert (ROOT / "images" / f"{distro.recipe}.toml").is_file()
        assert set(distro.recipe_arches) <= set(distro.arches)


def test_every_square_has_a_status_and_a_reason() -> None:
    rows = supports()
    modes = sum(len(distro.modes) * len(set(ARCHES) - {"s390x"}) for distro in all_distros())
    assert len(rows) == len(all_distros()) * len(ARCHES) + modes
    for row in rows:
        assert row.status in ("available", "unsupported", "unreachable")
        assert bool(row.reason) == (row.status != "available"), row


def test_s390x_is_unsupported_everywhere() -> None:
    rows = select(supports(), arches=["s390x"])
    assert {row.status for row in rows} == {"unsupported"}
    assert all("no static packages" in row.reason for row in rows)


@pytest.mark.parametrize("release", ["11", "12", "13", "forky"])
def test_debian_is_available(release: str) -> None:
    (row,) = select(supports(), cells=[f"debian-{release}/x86_64"])
    assert (row.status, row.source) == ("available", "built")


@pytest.mark.parametrize("release", ["11", "12", "13"])
def test_cgroup_v1_is_a_cell_of_its_own(release: str) -> None:
    (row,) = select(supports(), cells=[f"debian-{release}/x86_64+cgroup-v1"])
    assert (row.status, row.cell.mode) == ("available", "cgroup-v1")
    assert of(row.cell).traits_of(row.cell)["cgroup"] == "v1"
    assert "hierarchy=0" in of(row.cell).mode_of(row.cell).kernel_arguments


def test_a_mode_that_is_gone_says_why() -> None:
    (row,) = select(supports(), cells=["debian-forky/x86_64+cgroup-v1"])
    assert row.status == "unsupported"
    assert "systemd 258" in row.reason


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("debian-11/aarch64", "the image recipe debian-11 does not build aarch64 yet"),
        ("photon-4/x86_64", NO_IMAGE),
        ("centos-7/aarch64", NO_IMAGE),
        ("debian-forky/aarch64", "the image recipe debian-forky does not build aarch64 yet"),
    ],
)
def test_the_others_say_what_is_missing(cell: str, reason: str) -> None:
    (row,) = select(supports(), cells=[cell])
    assert (row.status, row.reason) == ("unreachable", reason)


def test_the_machine_has_a_word_too() -> None:
    rows = supports(lambda distro, arch: f"no emulator for {arch}")
    (row,) = select(rows, cells=["debian-12/x86_64"])
    assert (row.status, row.reason) == ("unreachable", "no emulator for x86_64")


def test_unknown_distros_name_the_known_ones() -> None:
    with pytest.raises(UsageError, match="debian-12"):
        find("debian", "99")


def test_the_engine_of_a_cell_replaces_the_documented_one() -> None:
    plain = Cell("debian", "12", "x86_64")
    other = Cell("debian", "12", "x86_64", "docker.io=20.10.5")
    assert of(plain).traits_of(plain)["engine"] == "20.10.24"
    assert of(other).traits_of(other)["engine"] == "20.10.5"
    assert "setup-tool-version" not in of(other).traits_of(other)


def test_no_room_above_compares_distro_names() -> None:
    names = "|".join(sorted({distro.name for distro in all_distros()}))
    comparison = re.compile(rf"""[=!]=\s*["']({names})["']|["']({names})["']\s*[=!]=""")
    for path in (ROOT / "harness" / "rootless").rglob("*.py"):
        assert not comparison.search(path.read_text(encoding="utf-8")), path
