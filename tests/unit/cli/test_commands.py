"""What the commands print that need no guest."""

from __future__ import annotations

import json
import resource
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.commands.common import one_cell
from harness.commands.run import STYLE, command_line
from harness.commands.shell import check_reached, remote
from harness.errors import UsageError
from harness.paths import Cache, project
from harness.results.model import Row, Verdict
from harness.results.run import CellInfo, HostInfo, RunInfo
from harness.results.store import RunStore
from harness.rootless.options import Options
from tests.unit.cli.conftest import Call

CELL = "debian-12/x86_64"


def stored(name: str, verdict: Verdict) -> str:
    """A run below runs/ of the current directory."""
    store = RunStore(Path("runs", name))
    info = RunInfo(name, datetime.now(UTC).isoformat(), ("harness",), "0",
                   HostInfo("", "", "", "tcg"))  # fmt: skip
    store.begin(info)
    store.add_cell(CellInfo(CELL, "available"))
    store.add_rows(Row("P15", CELL, "scenarios/test_ports.py::test_port_80", verdict,
                       aspect="low_port", observed="refused", evidence="said \x1b[1mso",
                       reproduce="pytest x"))  # fmt: skip
    store.finish(0)
    return name


def test_matrix(call: Call) -> None:
    result = call("matrix", "--distro", "debian-12")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["cell", "status", "image", "reason"]
    assert any(line.startswith("debian-12/s390x") and "unsupported" in line for line in lines)


def test_matrix_as_json(call: Call) -> None:
    rows = json.loads(call("matrix", "--arch", "s390x", "--json").stdout)
    assert {row["status"] for row in rows} == {"unsupported"}
    assert all(row["reason"] for row in rows)


@pytest.mark.parametrize(
    "engine", ["docker.io=", "docker.io", "docker.io=docker.io", "docker.io=20.10 24", "20/10", "x"]
)
def test_an_engine_without_a_version(engine: str, call: Call) -> None:
    said = call("run", "--list-cells", "--cell", f"{CELL}/{engine}")
    assert said.exit_code == 4, said.output
    assert "is no version of docker.io" in said.stderr
    with pytest.raises(UsageError, match="is no version of docker"):
        one_cell(f"{CELL}/{engine}")


@pytest.mark.parametrize("version", ["20.10.24", "5:26.1.4-1~deb12u1", "3:20.10.24-3.el7"])
def test_an_engine_of_a_version(version: str, call: Call) -> None:
    said = call("run", "--list-cells", "--cell", f"{CELL}/docker.io={version}")
    assert said.exit_code == 0, said.output


def test_run_works_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = project()
    words = command_line(["--cell", CELL, "-n", "2"])
    assert words[0] == str(root / "scenarios")
    assert f"--rootdir={root}" in words
    assert words[-4 - len(STYLE) :] == [*STYLE, "--cell", CELL, "-n", "2"]


@pytest.mark.parametrize("cell", [CELL, "debian-*/x86_64", f"{CELL}+cgroup-v1", "arch-rolling/*"])
def test_a_cell_is_no_scenario(cell: str, call: Call) -> None:
    said = call("run", "-v", "scenarios/test_ports.py", cell)
    assert said.exit_code == 4
    assert said.stderr.startswith(f"harness: {cell} is no scenario; did you mean --cell {cell}?\n")
    assert call("run", "--list-cells", "--cell", cell).exit_code == 0


@pytest.mark.parametrize("words", [["--cell"], ["--nonsense"]], ids=str)
def test_wrong_usage_of_run_is_said_in_its_name(words: list[str], call: Call) -> None:
    said = call("run", *words)
    assert said.exit_code == 4
    assert "usage: harness run [options]" in said.stderr
    assert "pytest" not in said.stderr.replace("pyproject", "").partition("inifile")[0]


@pytest.mark.parametrize("where", ["", "scenarios"])
def test_run_takes_scenarios(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project() / where)
    name = "test_ports.py::test_port_80" if where else "scenarios/test_ports.py::test_port_80"
    words = command_line([name, "-k", "ports"])
    assert words[0] == str(project() / "scenarios" / "test_ports.py") + "::test_port_80"
    assert words[-2:] == ["-k", "ports"]


def test_a_disk_that_cannot_be_made_costs_no_image(
    call: Call, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.image.bootable.PACKAGES", {"no-such-tool": "gdisk"})
    monkeypatch.setattr("harness.image.store.ensure", lambda *_, **__: pytest.fail("builds"))
    said = call("image", "export", CELL, "disk.qcow2")
    assert said.exit_code == 16
    assert "a disk with boot loaders needs gdisk" in said.stderr
    assert not place.exists()


@pytest.mark.parametrize("words", [("matrix",), ("image", "list"), ("cache",)], ids=" ".join)
def test_a_cache_that_cannot_be_written_to(call: Call, words: tuple[str, ...]) -> None:
    Path("file").touch()
    said = call(*words, "--cache-dir", "file")
    assert said.exit_code == 16
    assert "file/images cannot be written to" in said.stderr
    assert "choose another with ROOTLESS_HARNESS_CACHE" in said.stderr


def test_a_full_disk_under_a_report(call: Call) -> None:
    stored("a", Verdict.HOLDS)
    said = call("report", "--html", "/dev/full")
    assert said.exit_code == 16
    assert said.stderr == "harness: /dev/full: No space left on device\n"


@pytest.mark.parametrize("option", ["--html", "--svg"])
def test_a_report_that_cannot_be_written_costs_no_other(
    option: str, call: Call, tmp_path: Path
) -> None:
    stored("a", Verdict.HOLDS)
    (tmp_path / "old").write_text("an old report")
    (tmp_path / "link").symlink_to("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        said = call("report", option, "link")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (said.exit_code, said.stderr) == (16, "harness: link: File too large\n")
    assert (tmp_path / "old").read_text() == "an old report"
    (tmp_path / "old").chmod(0o640)
    assert call("report", option, "link").exit_code == 0
    assert len((tmp_path / "old").read_text()) > 1000
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "old", "runs"]


def test_a_report_replaces_no_run(call: Call, tmp_path: Path) -> None:
    stored("a", Verdict.HOLDS)
    before = (tmp_path / "runs/a/run.json").read_bytes()
    said = call("report", "--html", "runs/a/run.json", "a")
    assert (said.exit_code, "is a stored run" in said.stderr) == (4, True)
    assert (tmp_path / "runs/a/run.json").read_bytes() == before


def test_an_export_knows_where_to_before_it_builds(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.image.store.ensure", lambda *_, **__: pytest.fail("builds"))
    Path("file").touch()
    said = call("image", "export", CELL, "file/below/disk.qcow2")
    assert said.exit_code == 4
    assert "file is no directory to write to" in said.stderr


@pytest.mark.parametrize(
    ("command", "sent"),
    [
        ((), []),
        (("ps | wc",), ["ps | wc"]),
        (("sh", "-c", "echo $HOME"), ["sh -c 'echo $HOME'"]),
    ],
)
def test_words_for_the_guest(command: tuple[str, ...], sent: list[str]) -> None:
    assert remote(command) == sent


def test_what_alters_a_state_that_is_never_reached(tmp_path: Path) -> None:
    asked = Options(Cache(tmp_path), "", tmp_path)
    hooked = replace(asked, hooks={"prepared": (tmp_path,)})
    for state in ("prepared", "daemon"):
        check_reached(state, hooked)
    induced = replace(asked, induced={"prepared": (("userns-clone", "0"),)})
    for options, option in (
        (hooked, "--hook"), (induced, "--induce"), (replace(asked, withheld=("x",)), "--withhold")
    ):  # fmt: skip
        said = f"^{option} alters the state prepared, which --state booted never reaches\nnext: "
        with pytest.raises(UsageError, match=said):
            check_reached("booted", options)


def test_claims(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    shutil.copy(project() / "scenarios" / "claims.toml", scenarios)
    (scenarios / "test_ports.py").write_text(
        'import pytest\n@pytest.mark.claims("P15.low_port")\ndef test_port_80(): ...\n'
    )
    monkeypatch.setattr("harness.commands.claims.LEDGER", scenarios / "claims.toml")
    every = call("claims").stdout
    assert "scenarios/test_ports.py::test_port_80" in every
    summary = call("claims", "--coverage").stdout
    assert summary.startswith("1 of ")
    assert "no scenario decides P1, P2" in summary
    assert "test_port_80" not in summary
    one = call("claims", "p15").stdout
    assert one.startswith("P15  ")
    assert "P15.low_port: `docker run -p 80:80`" in one
    (data,) = json.loads(call("claims", "P15", "--json").stdout)
    assert data["rules"]
    assert data["scenarios"]


def test_explain_without_runs(call: Call) -> None:
    result = call("explain", "P15.low_port", "--cell", CELL)
    assert result.exit_code == 0
    assert "none yet: run something" in result.stdout
    assert "never, in the stored runs" in result.stdout


def test_explain_tells_the_last_observation(call: Call) -> None:
    stored("1", Verdict.VIOLATED)
    stored("2", Verdict.HOLDS)
    stored("3", Verdict.TESTBED_ERROR)
    Path("runs/4").mkdir()
    Path("runs/4/run.json").write_text("{")
    text = call("explain", "P15.low_port", "--cell", CELL).stdout
    assert "'refused': holds in run 2 of " in text
    assert "evidence    said so" in text


def test_report(call: Call) -> None:
    stored("1", Verdict.HOLDS)
    stored("2", Verdict.VIOLATED)
    assert call("report").stdout.endswith("run 2: runs/2\n")
    assert call("report", "1").stdout.endswith("run 1: runs/1\n")
    assert call("report", "runs/1/run.json").stdout.endswith("run 1: runs/1\n")


@pytest.mark.parametrize("name", ["a" * 300, "", "nowhere"])
def test_a_run_that_there_is_not(name: str, call: Call) -> None:
    said = call("report", name)
    assert said.exit_code == 4
    assert f"{name or repr(name)}: there is no such run; none in " in said.stderr
    assert said.stderr.endswith("\n  $ harness run\n")


def test_a_picture_of_a_report(call: Call, tmp_path: Path) -> None:
    stored("1", Verdict.VIOLATED)
    result = call("report", "1", "--svg", "a.svg")
    assert result.exit_code == 0
    picture = (tmp_path / "a.svg").read_text()
    assert picture.startswith("<svg")
    assert "violated" in picture
    assert "@font-face" not in picture
    assert call("report", "1", "--svg", "no/such/a.svg").exit_code == 16


def test_a_page_of_a_report(call: Call, tmp_path: Path) -> None:
    stored("1", Verdict.VIOLATED)
    result = call("report", "1", "--html", "a.html")
    assert result.stdout == "a.html: the report of run 1\n"
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "said so" in page
    assert call("report", "1", "--html", "no/such/a.html").exit_code == 16


def test_compare(call: Call) -> None:
    stored("1", Verdict.HOLDS)
    stored("2", Verdict.VIOLATED)
    worse = call("compare", "1", "2")
    assert worse.exit_code == 1
    assert "holds -> violated" in worse.stdout
    assert call("compare", "2", "1").exit_code == 0


def test_an_empty_cache(call: Call, place: Path) -> None:
    assert str(place) in call("cache").stdout
    assert call("image", "list").stdout.startswith("no images yet")
    assert call("cache", "evict").stdout == "nothing to remove\n"
    assert call("cache", "reap").stdout == "nothing to end\n"
    assert call("cache", "reap", "--kept").stdout == "nothing to end\n"
    assert call("cache", "clear", "--all").stdout == "removed 0 states\n"


def test_a_damaged_image_is_shown_and_cleared(call: Call, place: Path) -> None:
    folder = place / "images" / "debian-12_x86_64-0123456789ab"
    folder.mkdir(parents=True)
    assert "damaged: image.json is missing" in call("image", "list").stdout
    verified = call("image", "verify")
    assert verified.exit_code == 16
    assert "harness image build debian-12/x86_64 --force" in verified.stderr
    assert call("cache", "clear", "--images").exit_code == 0
    assert not folder.exists()


def test_every_damaged_image_is_told_with_a_command_to_paste(call: Call, place: Path) -> None:
    images = place / "images"
    names = ("debian-12_x86_64-0123456789ab", "debian-12_vax64-0123456789ab", "a stray")
    for name in names:
        (images / name).mkdir(parents=True)
    (images / names[0] / "image.json").mkdir()
    verified = call("image", "verify")
    assert verified.exit_code == 16
    assert verified.stderr.count("harness: the image ") == 3
    assert [line for line in verified.stderr.splitlines() if line.startswith("  $ ")] == [
        f"  $ rm -r '{images}/a stray'",
        f"  $ rm -r {images}/debian-12_vax64-0123456789ab",
        "  $ harness image build debian-12/x86_64 --force",
    ]
    for words in (("cache",), ("image", "list"), ("cache", "evict")):
        assert call(*words).exit_code == 0


def test_a_link_among_the_images_goes_and_not_where_it_leads(call: Call, place: Path) -> None:
    (place / "images").mkdir(parents=True)
    link = place / "images" / "up"
    link.symlink_to("..")
    assert "removed up, which was damaged" in call("cache", "clear", "--images").stdout
    assert not link.is_symlink()
    assert (place / "images").is_dir()


def test_packages_of_twins_are_shown_and_cleared(call: Call, place: Path) -> None:
    folder = place / "twins" / "photon-4-0123456789ab"
    folder.mkdir(parents=True)
    for name in ("repository.tar", "versions.json"):
        (folder / name).write_bytes(b"x" * 5000)
    shown = call("cache").stdout
    assert "packages of the twin" in shown
    assert "photon-4" in shown
    assert "01234567 " in shown
    assert "removed the packages of 1 twin\n" in call("cache", "clear", "--images").stdout
    assert "photon-4" not in call("cache").stdout


def test_a_cache_that_cannot_be_made(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call("cache", "--cache-dir", str(tmp_path / "file"))
    assert result.exit_code == 16
    assert "Not a directory" in result.stderr
    assert "next: choose another with ROOTLESS_HARNESS_CACHE\n" in result.stderr


@pytest.mark.parametrize("option", ["--max-size", "--max-age"])
@pytest.mark.parametrize("number", ["inf", "nan", "-1", "1e300"])
def test_what_is_no_number_evicts_nothing(option: str, number: str, call: Call) -> None:
    said = call("cache", "evict", option, number)
    assert said.exit_code == 4, said.output
    assert option in said.stderr


def listed(call: Call, *words: str) -> list[str]:
    said = call("run", "--list-cells", *words)
    assert said.exit_code == 0, said.output
    return [line.split()[0] for line in said.stdout.splitlines() if line.startswith("debian-")]


def test_an_engine_is_that_of_its_own_cell(call: Call) -> None:
    with_engine = f"{CELL}/docker.io=20.10.24"
    other = "debian-11/x86_64"
    assert sorted(listed(call, "--cell", with_engine, "--cell", other)) == [other, with_engine]
    assert listed(call, "--cell", CELL, "--engine-version", "20.10.24") == [with_engine]


def test_an_engine_named_twice(call: Call) -> None:
    cell = f"{CELL}/docker.io=20.10.24"
    said = call("run", "--list-cells", "--cell", cell, "--engine-version", "20.10.5")
    assert said.exit_code == 4
    assert "--engine-version 20.10.5 and a --cell with docker.io=20.10.24" in said.stderr


@pytest.mark.parametrize("option", ["--deselect", "--ignore"])
def test_a_scenario_that_is_left_out_is_not_run(option: str) -> None:
    words = command_line(["scenarios/test_info.py", option, "scenarios/test_ports.py"])
    assert Path(words[0]).name == "test_info.py"
    assert words[1].startswith("-")
    assert words[-2:] == [option, "scenarios/test_ports.py"]
