"""Each mistake in the file is told in one line: file, entry, field."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from harness.errors import UsageError
from harness.results.known_issues import load_known_issues
from harness.results.ledger import load_ledger
from harness.results.versions import in_range, upstream_version

SCENARIOS = Path(__file__).parents[3] / "scenarios"
GOOD = {
    "id": '"one"',
    "claim": '"P12"',
    "cells": '["debian-*"]',
    "pattern": '"not found"',
    "summary": '"s"',
    "review": "2027-01-31",
    "cause": '"c"',
}


def write(path: Path, *entries: dict[str, str]) -> Path:
    file = path / "known_issues.toml"
    blocks = ["[[issue]]\n" + "".join(f"{k} = {v}\n" for k, v in e.items()) for e in entries]
    file.write_text("\n".join(blocks))
    return file


def complaint(file: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_known_issues(file, claims={"P12"})
    return caught.value.what


def test_the_projects_own_file() -> None:
    claims = load_ledger(SCENARIOS / "claims.toml")
    issues = {i.id: i for i in load_known_issues(SCENARIOS / "known_issues.toml", claims=claims)}
    assert {i.claim for i in issues.values()} >= {"P9", "P10", "P12", "D12", "D13"}
    assert issues["debian-contrib-install"].seen_in(
        127, "/usr/share/docker.io/contrib/dockerd-rootless-setuptool.sh: 390: "
        "/usr/share/docker.io/contrib/docker: not found"
    )
    check = issues["debian-rootlesskit-not-required"]
    assert check.seen_in("[INFO] Requirements are satisfied", "")
    assert not check.seen_in("requirements are not satisfied", "")
    assert issues["bare-command-lists-nothing"].seen_in(
        "No command was specified. Run with --help to see the usage. Maybe you want to run "
        "`dockerd-rootless-setuptool.sh install`?", ""
    )
    assert issues["subuid-needs-root"].seen_in(
        1, "-bash: /etc/subuid: Permission denied"
    )
    path = issues["debian-contrib-path"]
    assert path.seen_in("/usr/share/docker.io/contrib/dockerd-rootless-setuptool.sh", "")
    assert path.covers("debian-12/x86_64", "20.10.24")
    assert path.covers("debian-12/x86_64/docker.io=20.10.24", "20.10.24")
    assert not path.covers("debian-12/x86_64/docker-ce=28.5.2", "28.5.2")


def test_what_a_twin_has_of_its_base_is_not_told_of_another_distro() -> None:
    """Arch reads /etc/sysctl.conf at boot no more than its twin; openSUSE and Ubuntu do read it."""
    claims = load_ledger(SCENARIOS / "claims.toml")
    issues = load_known_issues(SCENARIOS / "known_issues.toml", claims=claims)
    for claim in ("P16", "M28"):
        lasting = [issue for issue in issues if issue.names(claim, "lasting")]
        known = {
            cell for cell in (
                "debian-13/x86_64", "arch-rolling/x86_64", "arch-rolling/x86_64+twin",
                "ubuntu-24.04/x86_64+twin", "opensuse-tumbleweed/x86_64+twin",
            )
            if any(issue.covers_cell(cell) for issue in lasting)
        }
        assert known == {"debian-13/x86_64", "arch-rolling/x86_64", "arch-rolling/x86_64+twin"}


def test_fields_are_read(tmp_path: Path) -> None:
    entry = {**GOOD, "aspect": '"a"', "engine": '">=20.10,<23"', "review": '"2027-01-31"'}
    (issue,) = load_known_issues(write(tmp_path, entry), claims={"P12"})
    assert issue.review == date(2027, 1, 31)
    assert issue.engine == SpecifierSet("<23,>=20.10")
    assert issue.aspect == "a"


def test_no_issues_is_fine(tmp_path: Path) -> None:
    assert load_known_issues(write(tmp_path), claims=()) == ()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("claim", '"P99"', "no claim 'P99'"),
        ("claim", None, "is missing"),
        ("id", '""', "is missing"),
        ("cells", '"debian-*"', "list of globs"),
        ("cells", "[]", "list of globs"),
        ("cells", "[1]", "list of globs"),
        ("pattern", '"("', "not a regular expression"),
        ("pattern", f'"a{{{"9" * 20}}}"', "not a regular expression"),
        ("pattern", '".*"', "matches empty text"),
        ("review", '"soon"', "not a date"),
        ("review", "12", "not a date"),
        ("review", "2027-01-31T10:00:00", "not a date"),
        ("review", None, "is missing"),
        ("engine", '"20.10"', "not a version range"),
        ("summary", "3", "must be text"),
        ("patern", '"x"', "not a field"),
    ],
)
def test_one_line_names_file_entry_and_field(
    tmp_path: Path, field: str, value: str | None, said: str
) -> None:
    entry = {k: v for k, v in {**GOOD, field: value}.items() if v is not None}
    file = write(tmp_path, entry)
    what = complaint(file)
    assert "\n" not in what
    assert what.startswith(f"{file}: issue 1")
    assert f": {field}: " in what
    assert said in what


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    lines = complaint(write(tmp_path, {**GOOD, "claim": '"X1"', "pattern": '"["'}, GOOD))
    assert [line.split(": ")[2] for line in lines.splitlines()] == ["claim", "pattern", "id"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[issue]\n", "not valid TOML"),
        ("[[isue]]\nid = 'x'\n", "unknown top-level isue"),
        ("issue = 3\n", "[[issue]]"),
    ],
)
def test_a_broken_file(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "k.toml"
    file.write_text(content)
    what = complaint(file)
    assert str(file) in what
    assert said in what
    assert "\n" not in what


def test_no_file_and_no_text(tmp_path: Path) -> None:
    assert "no such file" in complaint(tmp_path / "absent.toml")
    file = tmp_path / "k.toml"
    file.write_bytes(b"\xff\xfe")
    assert "not valid TOML" in complaint(file)


@pytest.mark.parametrize(
    ("package", "upstream"),
    [
        ("20.10.24+dfsg1-1+deb12u1", "20.10.24"),
        ("20.10.24+dfsg1-1+deb12u1+b6", "20.10.24"),
        ("5:24.0.7-1~debian.12~bookworm", "24.0.7"),
        ("26.1.5+dfsg1-9", "26.1.5"),
        ("28.5.2", "28.5.2"),
        ("29.0.0~rc1-1", "29.0.0rc1"),
        ("v27.1.0-rc.1", "27.1.0rc1"),
        ("20.10.14-1.ph4", "20.10.14"),
    ],
)
def test_upstream_version(package: str, upstream: str) -> None:
    assert str(upstream_version(package)) == upstream


def test_ranges() -> None:
    spec = SpecifierSet(">=20.10,<23")
    assert in_range("20.10.24+dfsg1-1+deb12u1", spec)
    assert not in_range("5:23.0.1-1", spec)
    assert not in_range("unknown", spec)
    assert not in_range("", spec)
    assert in_range("", None)
    assert in_range("29.0.0~rc1", SpecifierSet("<29.0.0rc2"))


@pytest.mark.parametrize(
    ("cell", "covered"),
    [
        ("debian-12/x86_64", True),
        ("debian-12/x86_64+cgroup-v1", True),
        ("debian-12/x86_64+cgroup-v1/docker.io=20.10.24", True),
        ("debian-12/aarch64", False),
        ("photon-4/x86_64+cgroup-v1", False),
    ],
)
def test_a_mode_has_the_issues_of_the_packages(
    tmp_path: Path, cell: str, covered: bool
) -> None:
    globs = '["debian-*/x86_64", "debian-*/x86_64/docker.io=*"]'
    (issue,) = load_known_issues(write(tmp_path, GOOD | {"cells": globs}), claims={"P12"})
    assert issue.covers_cell(cell) is covered
