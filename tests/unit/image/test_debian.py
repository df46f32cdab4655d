"""The parts of a build that need no minute: what it would run, and the files it writes."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from harness.errors import TestbedError
from harness.image import debian, process
from harness.image import recipe as recipes


def test_the_overlay_holds_the_files_of_the_recipe(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.tar"
    debian._write_overlay(recipes.load("debian-12"), overlay)
    with tarfile.open(overlay) as tar:
        members = {member.name: member for member in tar}
        cloud = tar.extractfile("./etc/cloud/cloud.cfg.d/90-harness.cfg")
        assert cloud is not None
        assert json.load(cloud)["datasource_list"] == ["NoCloud"]
    assert {(m.uid, m.gid) for m in members.values()} == {(0, 0)}
    assert members["./etc/systemd/system/fstrim.timer"].linkname == "/dev/null"
    networkd = members["./etc/systemd/system/multi-user.target.wants/systemd-networkd.service"]
    assert networkd.linkname == "/lib/systemd/system/systemd-networkd.service"
    assert members["./etc/machine-id"].size == 0


def test_installed_packages_are_read_from_dpkg() -> None:
    status = (
        "Package: dash\nStatus: install ok installed\nVersion: 0.5.12-2\nDescription: sh\n x\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    )
    assert dict(debian._installed(status)) == {"dash": "0.5.12-2"}


def test_downloaded_packages_are_read_from_their_names(tmp_path: Path) -> None:
    (tmp_path / "uidmap_1%3a4.13+dfsg1-1_amd64.deb").touch()
    (tmp_path / "lock").touch()
    assert dict(debian._debs(tmp_path)) == {"uidmap": "1:4.13+dfsg1-1"}


def test_a_read_only_tree_is_deleted(tmp_path: Path) -> None:
    tree = tmp_path / "root"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a").chmod(0o555)
    process.delete(tree)
    assert not tree.exists()
    process.delete(tree)


def test_a_missing_tool_says_how_to_get_it() -> None:
    with pytest.raises(TestbedError) as caught:
        process.need("sh", "no-such-tool-here")
    assert "no-such-tool-here is not installed" in caught.value.what
    assert caught.value.command == "make bootstrap"


def test_a_failing_tool_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    with pytest.raises(TestbedError) as caught:
        process.run(["sh", "-c", "seq 50; exit 3"], log)
    assert caught.value.what == "sh failed with status 3"
    assert caught.value.detail.splitlines()[-1] == "50"
    assert "49" in log.read_text()
    assert not caught.value.hint, "who deletes the log does not name it"
