"""The terminal report and the comparison, rendered for real into text."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from harness.results.compare import PackageChange, compare, render_comparison
from harness.results.known_issues import load_known_issues
from harness.results.ledger import load_ledger
from harness.results.model import Row, Verdict
from harness.results.run import CellInfo, HostInfo, ImageInfo, Run, RunInfo
from harness.results.terminal import make_console, near, render
from harness.results.text import one_line, printable

SCENARIOS = Path(__file__).parents[3] / "scenarios"
CLAIMS = load_ledger(SCENARIOS / "claims.toml")
ISSUES = load_known_issues(SCENARIOS / "known_issues.toml", claims=CLAIMS)
D12, D13, TWIN = "debian-12/x86_64", "debian-13/x86_64", "photon-4/x86_64"
TODAY = date(2026, 11, 22)
LOW = Row(
    "P15", D12, "scenarios/test_ports.py::test_low", Verdict.VIOLATED, aspect="boundary",
    expected=1024, observed=80, because="ip_unprivileged_port_start=1024",
    evidence="[INFO] line one\n\x1b[31mred[/bold]\x1b[0m " + "x" * 300,
    note="a note", next_step="do this", reproduce="harness run  --cell debian-12/x86_64",
)
BROKEN = Row(
    "P17", D13, "scenarios/test_cgroup.py::test_cpu", Verdict.TESTBED_ERROR,
    note="no login prompt in 300 s", next_step="look at the console", log="debian-13/console.log",
)
ROWS = (
    Row("P1", D12, "a", Verdict.HOLDS),
    replace(LOW, aspect="serves", verdict=Verdict.HOLDS),
    LOW,
    Row("P1", D13, "a", Verdict.DRIFT, note="cgroup: documented v2, probed v1", next_step="cure"),
    Row("D13", D12, "b", Verdict.KNOWN_ISSUE, aspect="suite-layout-install",
        note="debian-contrib-install"),
    Row("D12", D13, "b", Verdict.FIXED, note="debian-contrib-path", next_step="repeat"),
    Row("M7", D12, "c", Verdict.NOT_APPLICABLE, note="not Arch"),
    Row("M9", D12, "c", Verdict.NOT_APPLICABLE, note="not Arch"),
    Row("P5", TWIN, "c", Verdict.HOLDS),
    BROKEN,
    replace(BROKEN, claim="P18"),
)
RUN = Run(
    RunInfo("r1", "2026-11-22T03:00:00+00:00", ("pytest",), "0", HostInfo("", "", "", "tcg")),
    cells=(
        CellInfo(D12, "available", image=ImageInfo("a", "sha256:aa", "built"),
                 packages={"docker.io": "1", "runc": "2"}),
        CellInfo(D13, "available", emulated=True),
        CellInfo(TWIN, "available", image=ImageInfo(
            "b", "sha256:bb", "twin", "a stand-in on debian-11/x86_64")),
        CellInfo("debian-12/s390x", "unsupported", "no static packages"),
    ),
    rows=ROWS,
    complete=True,
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def report(run: Run = RUN, *, today: date = TODAY) -> str:
    file = io.StringIO()
    render(make_console(file), run, claims=CLAIMS, issues=ISSUES, today=today, directory="runs/r1")
    return file.getvalue()


def block(text: str, head: str) -> list[str]:
    """The line that starts with ``head`` and the indented ones under it."""
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(head))
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith("  ")),
               len(lines))
    return [line.strip() for line in lines[start:end]]


def test_a_finding_in_five_lines() -> None:
    lines = block(report(), "violated  P15.boundary  debian-12/x86_64")
    assert lines[1] == (
        "expected 1024 because ip_unprivileged_port_start=1024; observed 80"
    )
    assert lines[2].startswith("evidence: [INFO] line one | red[/bold] xxx")
    assert lines[2].endswith("...")
    assert len(lines[2]) <= 120
    assert lines[3] == "a note; next: do this"
    assert lines[4] == "reproduce: harness run  --cell debian-12/x86_64"
    assert len(lines) == 5


def test_drift_names_the_trait() -> None:
    assert "cgroup: documented v2, probed v1; next: cure" in block(report(), "drift  P1  ")


def test_the_matrix() -> None:
    lines = report().splitlines()
    header = next(line for line in lines if line.startswith("claim"))
    assert header.split() == ["claim", "text", D12, D13, "(emulated)", TWIN, "(twin)"]
    assert "debian-12/s390x" not in header
    assert f"{TWIN} is not the distro: a stand-in on debian-11/x86_64" in lines
    low = next(line for line in lines if line.startswith("P15"))
    assert low.rstrip().endswith("violated 1/2")
    assert "Host ports below 1024" in low
    titles = [t for t in ("Photon OS documentation", "moby 19.03", "Docker manual")
              if any(line.strip() == t for line in lines)]
    assert len(titles) == 3


def test_what_broke_is_told_once_with_its_console() -> None:
    text = report()
    lines = block(text, "testbed-error")
    assert lines == [
        "testbed-error  P17, P18 on debian-13/x86_64: no login prompt in 300 s",
        "console: runs/r1/debian-13/console.log",
        "next: look at the console",
    ]
    assert text.count("no login prompt") == 1


def test_known_and_fixed_issues() -> None:
    text = report()
    lines = block(text, "known-issue  debian-contrib-install: D13.suite-layout-install on " + D12)
    assert "https://github.com/docker/docs/issues/14725" in lines[1]
    assert "due for review" not in text
    assert "next: repeat" in block(text, "fixed  debian-contrib-path: D12 on " + D13)


def test_issues_due_for_review() -> None:
    text = report(today=date(2027, 6, 1))
    assert "due for review since 2027-05-31" in block(text, "known-issue")[1]
    assert "known issue debian-rootlesskit-not-required, not met in this run, is due" in text
    assert "bare-command-lists-nothing" not in text


def test_what_was_skipped_is_grouped_by_reason() -> None:
    text = report()
    assert block(text, "not-applicable") == ["not-applicable  M7, M9 on debian-12/x86_64: not Arch"]
    assert "unsupported  debian-12/s390x: no static packages" in text


def test_cells_that_cannot_be_are_no_columns_and_told_once() -> None:
    ruled_out = [f"debian-{n}/s390x" for n in (12, 13)]
    cells = [CellInfo(name, "unsupported", "no static packages") for name in ruled_out]
    rows = [Row("D18", name, "", Verdict.UNSUPPORTED, note="no static packages")
            for name in ruled_out]
    text = report(replace(RUN, cells=(*RUN.cells[:3], *cells), rows=(*ROWS, *rows)))
    assert text.count("s390x") == 2
    assert "unsupported  debian-12/s390x, debian-13/s390x: no static packages" in text
    assert "2 unsupported" in text
    assert f"(3 cells, tcg; emulated: {D13})" in text


def test_a_share_only_where_verdicts_differ() -> None:
    twice = (replace(LOW, verdict=Verdict.HOLDS), replace(LOW, aspect="b", verdict=Verdict.HOLDS))
    lines = report(replace(RUN, rows=twice)).splitlines()
    assert next(line for line in lines if line.startswith("P15")).rstrip().endswith("  holds")


def test_paths_below_the_current_directory_are_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert near(str(tmp_path / "runs" / "r1")) == "runs/r1"
    assert near("runs/r1") == "runs/r1"
    assert near("/elsewhere") == "/elsewhere"


@pytest.mark.parametrize("width", [100, 120])
def test_one_cell_and_every_claim_fit(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    rows = tuple(Row(claim, D12, "s", Verdict.HOLDS) for claim in CLAIMS)
    lines = report(replace(RUN, rows=rows, cells=RUN.cells[:1])).splitlines()
    assert max(map(len, lines)) <= width
    cut = [line for line in lines if "..." in line]
    assert len(cut) <= (0 if width == 120 else len(CLAIMS) // 4)


def test_totals_come_last() -> None:
    last = report().splitlines()[-2:]
    assert last[0].startswith(
        "1 violated, 1 drift, 2 testbed-error, 1 known-issue, 1 fixed, 3 holds, 2 not-applicable"
    )
    assert last[1] == "run r1: runs/r1"
    assert "has not finished" in report(replace(RUN, complete=False))
    assert "was interrupted" in report(replace(RUN, exit_status=2))
    assert "was not looked at" not in report(replace(RUN, exit_status=1))


def test_a_run_without_rows() -> None:
    text = report(replace(RUN, rows=(), cells=()))
    assert text.startswith("nothing was decided")


def test_repeated_rows_show_as_flaky() -> None:
    text = report(replace(RUN, rows=(LOW, replace(LOW, verdict=Verdict.HOLDS))))
    assert block(text, "flaky  P15.boundary")


def test_many_cells_take_several_tables() -> None:
    rows = tuple(Row("P1", f"debian-{n}/x86_64", "s", Verdict.KNOWN_ISSUE) for n in range(20))
    text = report(replace(RUN, rows=rows, cells=()))
    table = text[: text.index("\nknown-issue")]
    assert sum(line.startswith("claim") for line in table.splitlines()) > 1
    assert max(len(line) for line in table.splitlines()) <= 120
    assert all(f"debian-{n}/x86_64" in table for n in range(20))


def test_unknown_claims_and_set_up_failures_are_shown() -> None:
    text = report(replace(RUN, rows=(replace(LOW, claim="Z1"), replace(BROKEN, claim=""))))
    assert "not in the ledger" in text
    assert "violated  Z1.boundary  debian-12/x86_64  scenarios/test_ports.py::test_low" in text
    assert "testbed-error  set-up on" in text


@pytest.mark.parametrize("columns", ["", "40", "160"])
def test_width_without_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    expected = {"": 120, "40": 100, "160": 160}[columns]
    assert make_console(io.StringIO()).width == expected


def test_no_escapes_without_a_terminal() -> None:
    assert "\x1b" not in report()


def test_colour_on_a_terminal_unless_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in report()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in report()


def test_ascii_output(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        render(make_console(file), RUN, claims=CLAIMS, issues=ISSUES, today=TODAY)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\r\n\n  b\tc", "a | b c"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b[1;31mred\x1b[m", "red"),
        ("bell\x07 \x9b31m", "bell 31m"),
        ("broken \udcff", "broken ?"),
    ],
)
def test_guests_cannot_write_on_the_terminal(said: str, shown: str) -> None:
    assert one_line(said) == shown


def test_printable_text_keeps_its_lines() -> None:
    assert printable("a\x1b[1mb\r\n\tc\x07\x9b\udcff") == "ab\n\tc?"


def test_whoever_wrote_a_run_cannot_write_on_the_terminal() -> None:
    strange = "\x1b]0;title\x07a/x86\udcff"
    row = Row("P\x1b[31m", strange, "n", Verdict.VIOLATED)
    run = replace(RUN, cells=(replace(RUN.cells[0], cell=strange),), rows=(row,))
    file = io.StringIO()
    render(make_console(file), run, claims=CLAIMS, issues=ISSUES, today=TODAY)
    render_comparison(make_console(file), compare(RUN, run))
    text = file.getvalue()
    assert "\x1b" not in text
    assert "a/x86?" in text
    text.encode()


def test_compare() -> None:
    new = replace(
        RUN,
        info=replace(RUN.info, id="r2"),
        cells=(
            replace(RUN.cells[0], packages={"docker.io": "1.1", "crun": "3"},
                    image=ImageInfo("a", "sha256:cc", "built")),
            *RUN.cells[1:],
        ),
        rows=(replace(ROWS[0], verdict=Verdict.VIOLATED), replace(LOW, verdict=Verdict.HOLDS),
              *ROWS[3:], Row("R1", D12, "n", Verdict.HOLDS)),
    )
    found = compare(RUN, new)
    assert [(c.claim, c.aspect, c.old, c.new) for c in found.verdicts] == [
        ("P1", "", "holds", "violated"),
        ("P15", "boundary", "violated", "holds"),
        ("P15", "serves", "holds", None),
        ("R1", "", None, "holds"),
    ]
    assert [c.became_finding for c in found.verdicts] == [True, False, False, False]
    assert found.packages == (
        PackageChange(D12, "image", "a aa (built)", "a cc (built)"),
        PackageChange(D12, "crun", "", "3"),
        PackageChange(D12, "docker.io", "1", "1.1"),
        PackageChange(D12, "runc", "2", ""),
    )
    file = io.StringIO()
    render_comparison(make_console(file), found)
    text = file.getvalue()
    assert "r1 -> r2" in text
    assert "verdict  P15.serves  debian-12/x86_64" in text
    assert "holds -> not decided" in text
    assert "package  debian-12/x86_64  docker.io: 1 -> 1.1" in text


def test_a_decided_claim_beats_a_testbed_error_in_comparison() -> None:
    retried = replace(RUN, rows=(*ROWS, replace(BROKEN, verdict=Verdict.HOLDS)))
    (change,) = compare(RUN, retried).verdicts
    assert (change.old, change.new) == (Verdict.TESTBED_ERROR, Verdict.HOLDS)


def test_compare_with_itself() -> None:
    file = io.StringIO()
    render_comparison(make_console(file), compare(RUN, RUN))
    assert "no verdict changed" in file.getvalue()
    assert "no package changed" in file.getvalue()
