"""Broken files and unknown names on the command line: one line, exit status 4, no traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import toml
from harness.image import recipe
from harness.image.twins import schema
from harness.image.upstream import catalogue
from tests.unit.cli.conftest import Call

ROOT = Path(__file__).parents[3]
Copied = Callable[[str], Path]


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copied:
    """A copy of a directory of data that the commands read instead."""

    def copy(kind: str) -> Path:
        module = {"catalogue": catalogue, "twins": schema, "recipes": recipe}[kind]
        where = tmp_path / kind
        shutil.copytree(module.folder(), where)
        monkeypatch.setattr(module, "folder", lambda: where)
        return where

    return copy


@pytest.mark.parametrize(
    ("kind", "file", "old", "new", "said"),
    [
        ("catalogue", "debian", 'disk = "virtio"', "disk = 7", "`str`, got `int` - at `$.disk`"),
        ("catalogue", "debian", "debian-12/x86_64", "debian-12/vax64",
         "'debian-12/vax64': no architecture 'vax64'; known: "),
        ("twins", "photon-4", 'manager = "tdnf"', 'manager = "emerge"',
         "tools.manager: no package manager 'emerge'; known: apt,"),
        ("twins", "photon-4", 'userns-clone = "0"', 'shoe-size = "0"', "traits.shoe-size: "),
        ("twins", "photon-4", 'subordinate-uids = "none"', 'user-session = "maybe"',
         "traits.user-session: trait user-session cannot be given the value 'maybe'"),
        ("twins", "photon-4", 'base = "debian-11"', 'base = "debian-3"',
         "base: there is no recipe 'debian-3'; known recipes: debian-11,"),
        ("twins", "parts", "[[runc.take]]", "[[runc.tale]]", "unknown field `tale` - at `$.runc`"),
        ("recipes", "debian-12", "[arch.x86_64]", "[arch.vax64]",
         "arch.vax64: no such architecture; known: "),
        ("recipes", "debian-12", "disk_gib = 8", "disk_gib = 0", "disk_gib 0 is not a number"),
        ("recipes", "debian-13", '"trixie"', "13", "`str`, got `int` - at `$.suite`"),
    ],
)  # fmt: skip
def test_a_broken_file(
    call: Call, copied: Copied, kind: str, file: str, old: str, new: str, said: str
) -> None:
    path = copied(kind) / f"{file}.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    result = call("matrix")
    assert result.exit_code == 4, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"harness: {path}: "), line
    assert said in line


WHERE = {
    "catalogue": ("debian", 'disk = "virtio"', "disk = 7"),
    "twins": ("photon-4", 'base = "debian-11"', "base = 7"),
    "recipes": ("debian-12", "disk_gib = 8", "disk_gib = 0"),
}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        *(("catalogue", words) for words in (
            "matrix --json", "matrix --distro debian", "image list --upstream",
            "image check debian-12/x86_64", "image fetch debian-12/x86_64 --offline",
            "image verify debian-12/x86_64", "shell photon-4/aarch64 -- true",
            "image build photon-4/aarch64",
        )),
        *(("twins", words) for words in (
            "matrix", "shell photon-4/x86_64 -- true", "trait probe photon-4/x86_64",
            "image build photon-4/x86_64", "image export photon-4/x86_64 disk",
        )),
        *(("recipes", words) for words in (
            "matrix", "image build debian-12/x86_64", "image export debian-12/x86_64 disk",
        )),
    ],
)  # fmt: skip
def test_every_command_that_needs_it(
    call: Call, copied: Copied, kind: str, words: str
) -> None:
    file, old, new = WHERE[kind]
    path = copied(kind) / f"{file}.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    result = call(*words.split())
    assert result.exit_code == 4, result.output
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert result.stderr.startswith(f"harness: {path}: ")


def test_a_file_that_cannot_be_read(call: Call, copied: Copied) -> None:
    path = copied("catalogue") / "debian.toml"
    path.unlink()
    path.mkdir()
    result = call("matrix")
    assert (result.exit_code, result.stderr) == (
        4, f"harness: {path}: cannot be read: Is a directory\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("recipes", "debian-12", "no recipe 'debian-12'; known recipes: debian-11, debian-13"),
        ("twins", "photon-4", "no twin 'photon-4'; known twins: "),
        ("twins", "parts", "nothing to make the packages of twins of"),
    ],
)
def test_a_file_that_is_gone(call: Call, copied: Copied, kind: str, name: str, said: str) -> None:
    path = copied(kind) / f"{name}.toml"
    path.unlink()
    result = call("matrix")
    assert result.exit_code == 4
    assert result.stderr.startswith(f"harness: {path}: there is no such file, so {said}")
    assert result.stderr.endswith(f"\nnext: {toml.GONE}\n")


def test_a_catalogue_that_is_not_there(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(catalogue.VARIABLE, str(tmp_path / "none"))
    result = call("matrix")
    assert (result.exit_code, result.stderr) == (
        4, f"harness: {catalogue.VARIABLE} is no directory: {tmp_path / 'none'}\n"
    )  # fmt: skip


UNKNOWN = [
    (("--arch", "vax64"), "no architecture matches 'vax64'; known: "),
    (("--cell", "debian-12/vax64"),
     "no cell matches 'debian-12/vax64'; there is no architecture vax64; debian-12 has: aarch"),
    (("--cell", "debian12/x86_64"), "no cell matches 'debian12/x86_64'; the nearest: debian-12/x8"),
    (("--distro", "debian12"), "no distro matches 'debian12'; the nearest: debian-12, "),
    (("--distro", "nosuch"), "no distro matches 'nosuch'; known distros: "),
    (("--cell", "debian-12/x86_64+twin"),
     "no cell matches 'debian-12/x86_64+twin'; no twin of it is written; debian-12/x86_64 is"),
]


ENGINE = (("--cell", "debian-12/x86_64/docker.io=20.10.24"),
          "no cell matches 'debian-12/x86_64/docker.io=20.10.24'; debian-12/x86_64 is there, and a"
          " version of its engine")  # fmt: skip


@pytest.mark.parametrize(("words", "said"), [*UNKNOWN, ENGINE])
def test_a_name_that_nothing_has(call: Call, words: tuple[str, ...], said: str) -> None:
    result = call("matrix", *words)
    assert result.exit_code == 4
    first, *rest = result.stderr.splitlines()
    assert first.startswith(f"harness: {said}")
    assert rest == ["  $ harness matrix"]


WITHHELD = [
    (("--cell", "photon-4/x86_64", "--withhold", "photon-subid"),
     "--withhold 'photon-subid': no selected cell is prepared with such a hint; the nearest: ph"),
    # a hint, and none of this cell
    (("--cell", "debian-12/x86_64", "--withhold", "photon-subuid"), "known hints: "),
    # a remedy: nobody is prepared with it
    (("--withhold", "ping"), "no selected cell is prepared with such a hint"),
]


@pytest.mark.parametrize(("words", "said"), [*UNKNOWN, *WITHHELD])
def test_through_pytest(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = _pytest(*words, cwd=tmp_path)
    assert result.returncode == 4
    assert said in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_broken_catalogue_through_pytest(
    copied: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = copied("catalogue")
    path = where / "debian.toml"
    path.write_text(path.read_text().replace('disk = "virtio"', "disk = 7", 1))
    monkeypatch.setenv(catalogue.VARIABLE, str(where))
    result = _pytest("--cell", "debian-12/x86_64", cwd=tmp_path)
    assert result.returncode == 4, result.stdout + result.stderr
    assert f"{path}: boot.genericcloud-amd64: Expected `str`, got `int`" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_broken_ledger_ends_a_run_before_any_scenario(tmp_path: Path) -> None:
    broken = tmp_path / "known_issues.toml"
    broken.write_text('[[issue]]\nid = "one"\nshoe = 7\n')
    code = (
        "import sys, pathlib, pytest, harness.results.known_issues as issues\n"
        "issues.KNOWN = pathlib.Path(sys.argv[1])\n"
        "sys.exit(pytest.main(sys.argv[2:]))"
    )
    words = ["-p", "no:cacheprovider", "scenarios/test_ports.py", "--cell", "debian-12/s390x",
             "--run-dir", str(tmp_path / "run")]  # fmt: skip
    result = subprocess.run([sys.executable, "-c", code, str(broken), *words], cwd=ROOT,
                            capture_output=True, text=True, check=False)  # fmt: skip
    assert result.returncode == 4, result.stdout + result.stderr
    assert f"{broken}: issue 1 (one): shoe: is not a field of a known issue: id, claim," in (
        result.stderr
    )
    assert "SKIPPED" not in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert not (tmp_path / "run").exists()


def test_a_number_of_workers_that_there_cannot_be(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "scenarios/test_ports.py", "-n", "-1",
               "--run-dir", str(tmp_path / "run")]  # fmt: skip
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 4
    assert "-n -1: expected a number of guests" in result.stderr


def test_guests_of_a_shared_libvirt_come_one_at_a_time() -> None:
    command = [sys.executable, "-m", "pytest", "scenarios/test_ports.py", "-n", "2",
               "-p", "no:cacheprovider", "--libvirt-uri", "test:///default"]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 4
    assert "use -n 1, or the embedded driver" in result.stderr


def _pytest(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist",
        "scenarios/test_ports.py", *words, "--run-dir", str(cwd / "run"),
        "--cache-dir", str(cwd / "cache"),
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_cache_that_cannot_be_ends_the_collection_at_once(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    result = _pytest("--collect-only", "-q", cwd=tmp_path)
    assert result.returncode == 16, result.stdout + result.stderr
    assert "errors during collection" not in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
