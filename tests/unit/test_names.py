"""What is proposed for a name that nothing has, by everything that takes names."""

from __future__ import annotations

import pytest

from harness.names import instead, nearest
from tests.unit.cli.conftest import Call, call, place

__all__ = ["call", "place"]
KNOWN = ["debian-12", "debian-13", "photon-4"]


def test_the_nearest_come_first_whatever_their_case() -> None:
    assert nearest("Debian12", KNOWN) == ["debian-12", "debian-13"]
    assert nearest("mint", KNOWN) == []


def test_all_are_named_where_none_is_near() -> None:
    assert instead("debian12", KNOWN, "distros") == "the nearest: debian-12, debian-13"
    assert instead("mint", KNOWN, "distros") == "known distros: debian-12, debian-13, photon-4"
    assert instead("mint", [], "distros") == "known distros: none"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("matrx",), "matrix"),
        (("trait", "lst"), "list"),
        (("matrix", "--cell", "debian12/x86_64"), "debian-12/x86_64"),
        (("matrix", "--distro", "photn-4"), "photon-4"),
        (("shell", "debain-12/x86_64"), "debian-12/x86_64"),
        (("image", "fetch", "debian12/x86_64"), "debian-12/x86_64"),
        (("image", "check", "photon4/x86_64"), "photon-4/x86_64"),
        (("bug", "show", "tungone"), "tun-gone"),
        (("explain", "P15.lowport", "--cell", "debian-12/x86_64"), "P15.low_port"),
    ],
    ids=" ".join,
)
def test_every_command_proposes_what_was_meant(
    call: Call, words: tuple[str, ...], meant: str
) -> None:
    result = call(*words)
    assert result.exit_code == 4
    said = next(line for line in result.stderr.splitlines() if "no such" in line
                or "matches" in line or "has no" in line or "there is no" in line
                or "No such" in line)  # fmt: skip
    assert meant in said
    assert len(said) < 240


def test_runs_are_proposed_by_their_id(call: Call, place: object) -> None:
    from harness.paths import runs

    for name in ("20261122-040248-ba44", "20261123-050301-0a1b"):
        (runs() / name).mkdir(parents=True)
        (runs() / name / "run.json").write_text("{}")
    result = call("report", "20261122-040248-ba4")
    assert result.exit_code == 4
    assert "there is no such run; the nearest below" in result.stderr
    assert "20261122-040248-ba44" in result.stderr
