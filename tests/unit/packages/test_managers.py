"""The real managers of this machine, on roots and repositories made for the test."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.errors import GuestRefusal, TestbedError, UsageError
from harness.image.twins import pacman, rpm
from harness.packages import MANAGERS, PackageManager, Repository, manager
from harness.packages.dnf import Dnf
from harness.packages.pacman import Pacman
from harness.packages.zypper import Zypper
from tests.unit.packages.local import Here, need, tiny


@dataclass
class Place:
    """A manager, its root and its repository."""

    packages: PackageManager
    root: Path
    repository: Path
    session: Here
    impatient: PackageManager


def _with_rpm(kind: type[Dnf] | type[Zypper], tmp_path: Path) -> Place:
    need(kind.NAME, *rpm.TOOLS)
    root, out = tmp_path / "root", tmp_path / "repository"
    trees = tmp_path / "trees"
    rpm.build([
        tiny(trees, "engine", "1.0", requires=("helper",)),
        tiny(trees, "engine", "2.0", requires=("helper",)),
        tiny(trees, "helper", post="echo ran > /dev/null"),
        tiny(trees, "rival", conflicts=("helper",)),
        tiny(trees, "alone", requires=("nowhere",)),
        tiny(trees, "other"),
    ], out, tmp_path / "log")  # fmt: skip
    session = Here()
    root.mkdir()
    packages = kind(session, at=str(root))
    packages.add_repository(Repository("tiny", f"file://{out}"))
    return Place(packages, root, out, session, kind(session, at=str(root), patience=0))


def dnf(tmp_path: Path) -> Place:
    return _with_rpm(Dnf, tmp_path)


def zypper(tmp_path: Path) -> Place:
    return _with_rpm(Zypper, tmp_path)


def arch(tmp_path: Path) -> Place:
    need("pacman")
    root, out, trees = tmp_path / "root", tmp_path / "repository", tmp_path / "trees"
    pacman.build([
        tiny(trees, "engine", "2.0", requires=("helper",)),
        tiny(trees, "helper"),
        tiny(trees, "rival", conflicts=("helper",)),
        tiny(trees, "alone", requires=("nowhere",)),
        tiny(trees, "other"),
    ], out, "tiny")  # fmt: skip
    session = Here()
    for folder in ("var/lib/pacman", "var/cache/pacman/pkg", "var/log", "etc/pacman.d"):
        (root / folder).mkdir(parents=True)
    (root / "etc/pacman.conf").write_text("[options]\nArchitecture = x86_64\n")
    packages = Pacman(session, at=str(root))
    packages.add_repository(Repository("tiny", f"file://{out}"))
    packages.refresh()
    return Place(packages, root, out, session, Pacman(session, at=str(root), patience=0))


@pytest.fixture(params=[dnf, zypper, arch], ids=["dnf", "zypper", "pacman"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    make: Callable[[Path], Place] = request.param
    return make(tmp_path)


def test_installing_brings_what_is_required(place: Place) -> None:
    assert place.packages.installed("engine") == ""
    said = place.packages.install("engine")
    assert "install" in said.lower() or "-Syu" in said
    assert place.packages.installed("engine") == "2.0-1"
    assert place.packages.installed("helper") == "1.0-1"
    program = place.root / "usr/bin/engine"
    assert stat.S_IMODE(program.stat().st_mode) == 0o4755
    assert (place.root / "usr/bin/engine-link").readlink() == Path("engine")
    inside = str(program) if isinstance(place.packages, Pacman) else "/usr/bin/engine"
    assert place.packages.owner(inside) == "engine"
    assert place.packages.owner("/usr/bin/nothing") == ""
    place.packages.install("other")  # zypper cannot read a database that is empty again
    place.packages.remove("helper")
    assert place.packages.installed("engine") == ""
    assert not program.exists()


def test_what_the_archive_says(place: Place) -> None:
    place.packages.refresh()
    versions = place.packages.versions("engine")
    assert versions[0] == "2.0-1"
    assert place.packages.versions("nonsense") == ()
    assert place.packages.depends("engine") == {"helper"}
    if len(versions) > 1:
        place.packages.install(f"engine={versions[1]}")
        assert place.packages.installed("engine") == "1.0-1"


def test_what_an_installed_package_pulls_in(place: Place) -> None:
    place.packages.install("engine")
    assert place.packages.depends("engine") == {"helper"}


def test_a_local_file(place: Place) -> None:
    (path,) = place.repository.glob("helper-*")
    place.packages.install_file(str(path))
    assert place.packages.installed("helper") == "1.0-1"


@pytest.mark.parametrize("name", ["nonsense", "alone"])
def test_what_does_not_exist_is_a_refusal(place: Place, name: str) -> None:
    with pytest.raises(GuestRefusal, match="exited with"):
        place.packages.install(name)


def test_a_conflict_is_a_refusal(place: Place) -> None:
    place.packages.install("helper")
    with pytest.raises(GuestRefusal, match="exited with"):
        place.packages.install("rival")


def test_an_index_that_cannot_be_had_is_the_test_beds(place: Place) -> None:
    place.repository.rename(place.repository.with_name("elsewhere"))
    with pytest.raises(TestbedError, match="could not get what it needs"):
        place.packages.refresh()


def test_a_broken_index_is_the_test_beds(place: Place) -> None:
    for index in (place.repository / "repodata/repomd.xml", place.repository / "tiny.db"):
        if index.exists():
            index.write_bytes(b"not what it was")
    with pytest.raises(TestbedError, match="could not get what it needs"):
        place.packages.refresh()


def test_a_package_that_cannot_be_had_is_the_test_beds(place: Place) -> None:
    place.packages.refresh()
    for path in place.repository.glob("helper-*"):
        path.unlink()
    with pytest.raises(TestbedError, match="could not get what it needs"):
        place.packages.install("helper")


def test_a_lock_names_its_holder(place: Place) -> None:
    place.packages.install("other")
    with holding(place) as said, pytest.raises(TestbedError, match=said):
        place.impatient.install("helper")
    place.impatient.install("helper")


@contextmanager
def holding(place: Place) -> Iterator[str]:
    """Hold the manager's lock in another process; what is then said of the holder."""
    if isinstance(place.packages, Pacman):
        lock = place.root / "var/lib/pacman/db.lck"
        lock.touch()
        yield "left behind|process"
        lock.unlink()
        return
    with subprocess.Popen(["sleep", "600"]) as holder:
        paths = ["run/zypp.pid"] if isinstance(place.packages, Zypper) else [
            "var/cache/dnf/metadata_lock.pid", "var/lib/dnf/rpmdb_lock.pid"]
        for name in paths:
            path = place.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{holder.pid}")
        yield f"(?i)pid {holder.pid}"
        holder.kill()


@pytest.mark.parametrize("bad", ["-y", "", " x"])
def test_an_option_is_no_package(place: Place, bad: str) -> None:
    with pytest.raises(UsageError, match="no name of a package"):
        place.packages.install(bad)


@pytest.mark.parametrize("name", MANAGERS)
def test_each_is_found_by_its_name(name: str) -> None:
    made = manager(name, Here())
    assert type(made).__name__.lower() == name


def test_an_unknown_manager_names_the_known() -> None:
    with pytest.raises(UsageError, match="apt, dnf, yum, tdnf, zypper, pacman"):
        manager("emerge", Here())


@pytest.mark.parametrize(("name", "url"), [("a b", "file:///x"), ("a", ""), ("a", "x\ny")])
def test_a_repository_is_checked(name: str, url: str) -> None:
    with pytest.raises(UsageError):
        Repository(name, url)
