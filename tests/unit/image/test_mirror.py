from __future__ import annotations

from pathlib import Path

import pytest

from harness.image import mirror

DEB822 = """\
# The distribution
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
# a comment inside
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
SECURITY = """\
Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.fixture(autouse=True)
def _no_choice_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(mirror.MIRROR_VARIABLE, raising=False)


@pytest.fixture
def etc_apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("debian.sources", DEB822, "http://mirror.example/debian"),
        ("debian.sources", f"{SECURITY}\n{DEB822}", "http://mirror.example/debian"),
        ("debian.sources", SECURITY, None),
        ("debian.sources", f"Enabled: no\n{DEB822}", None),
        ("debian.sources", DEB822.replace("deb deb-src", "deb-src"), None),
        ("debian.sources", DEB822.replace("URIs: ", "URIs:\n "), "http://mirror.example/debian"),
        ("debian.sources.bak", DEB822, None),
        ("a.list", "deb http://mirror.example/debian/ bookworm main contrib",
         "http://mirror.example/debian/"),
        ("a.list", "deb [arch=amd64 signed-by=/k.gpg] https://m.example/debian bookworm main # x",
         "https://m.example/debian"),
        ("a.list", "deb http://m.example/archive/debian/20250520T000000Z bookworm main",
         "http://m.example/archive/debian/20250520T000000Z"),
        ("a.list", "# deb http://mirror.example/debian bookworm main", None),
        ("a.list", "deb-src http://mirror.example/debian bookworm main", None),
        ("a.list", "deb http://mirror.example/debian bookworm-security main", None),
        ("a.list", "deb http://mirror.example/ubuntu noble main universe", None),
        ("a.list", "deb http://mirror.example/debian bookworm contrib # not main", None),
        ("a.list", "deb cdrom:[Debian]/debian bookworm main", None),
        ("a.list", "deb\nnonsense [ \n", None),
    ],
)
def test_the_main_archive_is_found(
    etc_apt: Path, name: str, text: str, found: str | None
) -> None:
    (etc_apt / "sources.list.d" / name).write_text(text)
    assert mirror.choose(etc_apt) == found


def test_sources_list_comes_first(etc_apt: Path) -> None:
    (etc_apt / "sources.list").write_text("deb http://first.example/debian bookworm main\n")
    (etc_apt / "sources.list.d/debian.sources").write_text(DEB822)
    assert mirror.choose(etc_apt) == "http://first.example/debian"


def test_a_machine_without_apt(tmp_path: Path) -> None:
    assert mirror.choose(tmp_path / "none") is None


def test_the_environment_wins(etc_apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (etc_apt / "sources.list").write_text("deb http://first.example/debian bookworm main\n")
    monkeypatch.setenv(mirror.MIRROR_VARIABLE, "http://mine.example/debian")
    assert mirror.choose(etc_apt) == "http://mine.example/debian"
