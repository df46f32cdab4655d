"""Twins as data: those that are there, and what is said of one that is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.distros.registry import all_distros
from harness.errors import UsageError
from harness.image import recipe
from harness.image.twins import schema
from harness.packages import MANAGERS
from harness.rootless.inducers import INDUCERS

TWINS = schema.names()
DISTROS = {distro.id: distro for distro in all_distros()}


def test_the_distros_with_a_twin_are_those_that_tell_its_traits() -> None:
    assert set(TWINS) == {distro.id for distro in all_distros() if distro.twin is not None}


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_fits_its_distro_and_its_base(name: str) -> None:
    twin, distro = schema.load(name), DISTROS[name]
    base = recipe.load(twin.base)
    assert "x86_64" in base.arch
    assert twin.tools.manager == distro.package_manager
    assert twin.tools.manager in MANAGERS
    packaged = {package.name for package in twin.package}
    preloaded = set(base.packages.preload)
    if twin.repository.format == "deb":  # the guest's own archive is asked as well
        packaged |= preloaded | set(base.packages.include)
        assert {name for package in twin.package for name in package.requires} <= packaged
    assert set(distro.packages) <= packaged, "the documents' command would find nothing"
    brought = {"", "runc", "containerd", "fuse3", "libslirp0"}  # what those depend on
    assert {package.version_of for package in twin.package} <= preloaded | brought
    for trait, value in twin.traits.items():
        assert trait in INDUCERS, (trait, value)


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_says_what_it_is(name: str) -> None:
    twin = schema.load(name)
    assert "(twin)" in twin.os_release
    assert "VARIANT_ID=twin" in twin.os_release
    assert ("apt-get" in twin.tools.hide) == (twin.tools.manager != "apt")


@pytest.mark.parametrize("name", TWINS)
def test_its_documented_traits_are_the_distros_but_for_the_bases(name: str) -> None:
    distro = DISTROS[name]
    twin = distro.as_twin()
    assert distro.twin is not None
    changed = {key for key in twin.traits if twin.traits[key] != distro.traits.get(key)}
    assert changed <= set(distro.twin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in schema.folder().glob("*.toml"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('release = "rolling"', 'release = "3"', "call it arch-3.toml"),
        ('format = "pacman"', 'format = "zip"', "'zip' is none of: rpm, pacman, deb"),
        ('parts = ["runc"]', 'parts = ["rnc"]', "package runc: there is no part 'rnc'"),
        ('requires = ["fuse3"]', 'requires = ["fuse9"]', "requires fuse9, which is not among"),
        ('name = "runc"', 'name = "run c"', "is no name of a package"),
        ("[tools]", "[tool]", "unknown field `tool`"),
        ('"shadow", "iptables"', '"shadows"', "preinstalled is shadows"),
        ("[tools]", "[tools", "not valid TOML"),
        ("VARIANT_ID=twin", "VARIANT_ID=server", "os_release has no line VARIANT_ID=twin"),
    ],
)
def test_a_wrong_one_is_one_line(folder: Path, old: str, new: str, said: str) -> None:
    path = folder / "arch-rolling.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError, match=said.replace("`", ".")) as caught:
        schema.load("arch-rolling", folder)
    assert "\n" not in caught.value.what


def test_an_unknown_one_names_the_known() -> None:
    with pytest.raises(UsageError, match="photon-4"):
        schema.load("nonsense")
