"""Which package version a cell's engine means, and what archives list."""

from __future__ import annotations

import pytest

from harness.distros import registry
from harness.errors import UsageError
from harness.matrix import Cell
from harness.packages.apt import listed
from harness.rootless.archive import meaning, pick, pinned
from harness.rootless.ladder import engine_packages
from harness.session.options import with_engine

DEBIAN = ("20.10.24+dfsg1-1+deb12u1+b6", "20.10.24+dfsg1-1+b3", "20.10.5+dfsg1-1")
DOCKER = ("5:24.0.7-1~debian.12~bookworm", "5:24.0.6-1~debian.12~bookworm")
CELL = Cell("debian", "12", "x86_64")


@pytest.mark.parametrize(
    ("available", "asked", "version"),
    [
        (DEBIAN, "20.10.24", DEBIAN[0]),
        (DEBIAN, DEBIAN[1], DEBIAN[1]),
        (DEBIAN, "20.10.5", DEBIAN[2]),
        (DEBIAN, "20.10.2", ""),
        (DEBIAN, "20.10", ""),
        (DEBIAN, "", ""),
        (DOCKER, "24.0.6", DOCKER[1]),
        ((), "24.0.6", ""),
    ],
)
def test_pick(available: tuple[str, ...], asked: str, version: str) -> None:
    assert pick(available, asked) == version


def test_the_shortest_name_of_a_version() -> None:
    assert [meaning(DEBIAN, version) for version in DEBIAN] == ["20.10.24", DEBIAN[1], "20.10.5"]


class Archive:
    """A package manager that knows versions of one package."""

    def __init__(self, *versions: str) -> None:
        self._versions = versions

    def versions(self, package: str) -> tuple[str, ...]:
        return self._versions if package == "docker.io" else ()


def test_an_unknown_version_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        pinned(Archive(*DEBIAN), CELL, "docker.io=20.10.2")  # type: ignore[arg-type]
    line = caught.value.what
    assert "\n" not in line
    assert line.startswith("debian-12/x86_64 has no docker.io 20.10.2: the archive has 20.10.24+d")
    assert all(version in line for version in DEBIAN)
    with pytest.raises(UsageError, match="the archive has none"):
        pinned(Archive(), CELL, "docker.io=20.10.2")  # type: ignore[arg-type]
    known = pinned(Archive(*DEBIAN), CELL, "docker.io=20.10.24")  # type: ignore[arg-type]
    assert known == f"docker.io={DEBIAN[0]}"


def test_only_binary_packages_are_listed() -> None:
    text = (
        " docker.io | 20.10.24+dfsg1-1+deb12u1 | http://m/debian bookworm/main amd64 Packages\n"
        " docker.io | 20.10.24+dfsg1-1+deb12u1 | http://m/security bookworm/main amd64 Packages\n"
        " docker.io | 20.10.24+dfsg1-1 | http://m/debian bookworm/main amd64 Packages\n"
        " docker.io | 20.10.99 | http://m/debian bookworm/main Sources\n"
        "N: a note\n"
    )
    assert listed(text) == ("20.10.24+dfsg1-1+deb12u1", "20.10.24+dfsg1-1")
    assert listed("") == ()


@pytest.mark.parametrize("version", ["20.10.24", "20.10.24+dfsg1-1+deb12u1", "5:20.10.24~3-0"])
def test_the_version_is_in_the_cell_its_packages_and_its_traits(version: str) -> None:
    cell = with_engine(CELL, version)
    assert cell.id == f"debian-12/x86_64/docker.io={version}"
    distro = registry.of(cell)
    assert f"docker.io={version}" in engine_packages(cell, distro)
    assert "docker.io" not in engine_packages(cell, distro)
    assert distro.traits_of(cell)["engine"] == "20.10.24"
    assert distro.traits_of(CELL) == distro.traits
