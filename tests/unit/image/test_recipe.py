from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.image import recipe as recipes
from tests.unit.image.conftest import TOML

Write = Callable[..., Path]


@pytest.mark.parametrize("name", recipes.names())
def test_the_recipes_of_the_project_are_well_formed(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.arch
    assert not set(recipe.packages.include) & set(recipe.packages.preload)


def test_debian_12_has_no_engine_installed() -> None:
    include = recipes.load("debian-12").packages.include
    assert not {"docker.io", "uidmap", "rootlesskit", "slirp4netns", "needrestart"} & set(include)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("= \"toy\"", "= toy"), "not valid TOML: Invalid value (at line 1"),
        (("suite", "sweet"), "unknown field `sweet`"),
        (("disk_gib = 1", "disk_gib = \"1G\""), "Expected `int`, got `str` - at `$.disk_gib`"),
        (("suite = \"tiny\"\n", ""), "missing required field `suite`"),
        (("\"dash\"", "3"), "Expected `str`, got `int` - at `$.packages.include[0]`"),
        (("[packages]", "[[files]]\npath = \"etc\"\n[packages]"), "path 'etc' is not absolute"),
        (("[packages]", "[[files]]\npath = \"/a/../b\"\n[packages]"), "is not absolute"),
        *(
            (("[packages]", f"[[files]]\npath = {json.dumps(path)}\n[packages]"),
             "is not that of a file")
            for path in ("/", "//", "/.", "/etc/", "/etc/\n", "/etc/\x1b", "/etc/a\nb")
        ),
        (("[packages]", "[[files]]\npath = \"/etc\"\nmode = \"9\"\n[packages]"), "mode '9' is"),
        (("\"toy\"", "\"joy\""), "those of joy-1; call it joy-1.toml"),
    ],
)
def test_a_broken_recipe_is_one_line_that_names_the_file(
    write: Write, change: tuple[str, str], said: str
) -> None:
    text = TOML.replace(*change)
    assert text != TOML
    with pytest.raises(UsageError) as caught:
        recipes.load("toy-1", write(text))
    message = str(caught.value)
    assert said in message
    assert "toy-1.toml" in message
    assert "\n" not in message


def test_bytes_that_are_not_text(write: Write) -> None:
    folder = write("")
    (folder / "toy-1.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not valid TOML"):
        recipes.load("toy-1", folder)


def test_an_unknown_recipe_lists_the_known_ones(write: Write) -> None:
    with pytest.raises(UsageError, match="no recipe 'toy-2'; known recipes: toy-1"):
        recipes.load("toy-2", write(TOML))


def test_an_unknown_architecture_lists_the_known_ones(write: Write) -> None:
    recipe = recipes.load("toy-1", write(TOML))
    with pytest.raises(UsageError, match="no recipe for toy-1/s390x; toy-1 is built for: x86_64"):
        recipe.on("s390x")


def test_the_hash_follows_the_content_and_not_the_spelling(write: Write) -> None:
    first = recipes.load("toy-1", write(TOML)).hash("x86_64")
    assert recipes.load("toy-1", write("# words\n" + TOML)).hash("x86_64") == first
    changed = TOML.replace("[\"dash\"]", "[\"dash\", \"bash\"]")
    assert recipes.load("toy-1", write(changed)).hash("x86_64") != first


def test_another_architecture_does_not_change_the_hash(write: Write) -> None:
    first = recipes.load("toy-1", write(TOML)).hash("x86_64")
    more = TOML + "[arch.aarch64]\ndebian = \"arm64\"\nkernel = \"linux\"\ncmdline = \"\"\n"
    both = recipes.load("toy-1", write(more))
    assert both.hash("x86_64") == first
    assert both.hash("aarch64") != first


def test_how_another_architecture_is_built_is_in_the_hash(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipes.load("toy-1", write(TOML))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    foreign = recipe.hash("x86_64")
    monkeypatch.setattr(recipes, "FOREIGN_SCHEMA", recipes.FOREIGN_SCHEMA + 1)
    assert recipe.hash("x86_64") != foreign
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    native = recipe.hash("x86_64")
    monkeypatch.setattr(recipes, "FOREIGN_SCHEMA", 1)
    assert recipe.hash("x86_64") == native != foreign


def test_a_recipe_that_extends_another_says_only_what_differs(write: Write) -> None:
    where = write(TOML)
    parent = recipes.load(recipes.names(where)[0], where)
    (where / "toy-99.toml").write_text(
        f'extends = "{parent.name}"\nrelease = "99"\n[packages]\npreload = ["one"]\n'
    )
    child = recipes.load("toy-99", where)
    assert (child.release, child.packages.preload) == ("99", ("one",))
    assert child.packages.include == parent.packages.include
    assert child.files == parent.files
    assert child.hash("x86_64") != parent.hash("x86_64")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('extends = "nothing"', "no recipe 'nothing'"),
        ('extends = "toy-99"', "extends must name another recipe"),
        ("extends = 5", "extends must name another recipe"),
    ],
)
def test_a_recipe_that_extends_nothing(write: Write, line: str, message: str) -> None:
    where = write(TOML)
    (where / "toy-99.toml").write_text(f'{line}\nrelease = "99"\n')
    with pytest.raises(UsageError, match=message):
        recipes.load("toy-99", where)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("\"dash\"", "\"--dash\""), "include: '--dash' is no name of a package"),
        (("\"dash\"", "\"dash bash\""), "include: 'dash bash' is no name of a package"),
        (("\"tiny\"", "\"../tiny\""), "suite: '../tiny' is no name of a suite"),
        (("disk_gib = 1", "disk_gib = 99999"), "disk_gib 99999 is not a number of GiB from 1 to"),
    ],
)
def test_names_that_a_tool_would_misunderstand(
    write: Write, change: tuple[str, str], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        recipes.load("toy-1", write(TOML.replace(*change)))
    assert said in str(caught.value)
