"""``harness image fetch|check|list|verify`` and the matrix, with a catalogue of one image."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness import matrix
from harness.commands.common import one_cell
from harness.distros import registry
from harness.distros.debian import DEBIAN_12
from harness.distros.registry import IMAGE_ALONE, support
from harness.errors import UsageError
from harness.hypervisor import firmware
from harness.image.upstream import catalogue, schema
from harness.paths import cache
from harness.session.sources import sourced
from tests.unit.cli.conftest import Call
from tests.unit.image.upstream.conftest import Place, disk, server, sha
from tests.unit.image.upstream.toml import dump

__all__ = ["disk", "server"]
CELL = "debian-12/x86_64"


@pytest.fixture
def known(tmp_path: Path, server: Place, disk: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    entry = {"provenance": "official", "format": "qcow2", "boot": "b", "end_of_life": "unknown"}
    pinned = {"url": server.serve("/d", disk), "digest": sha(disk)}
    boot = {"firmware": ["bios"], "disk": "virtio", "seed": "virtio", "nic": "virtio",
            "root": "ext4", "console": "ttyS0", "user": "debian", "datasources": ["NoCloud"]}
    doc = {
        "distro": "debian",
        "boot": {"b": boot, "arm": {**boot, "firmware": ["uefi"]}},
        "image": [{"cell": CELL, **entry, "pinned": pinned},
                  {"cell": "debian-10/x86_64", **entry, "pinned": pinned},
                  {"cell": "debian-forky/aarch64", **entry, "format": "iso", "boot": "arm",
                   "latest": {"url": server.url + "/new"}}],
    }  # fmt: skip
    (folder / "debian.toml").write_text(dump(doc))
    monkeypatch.setattr(catalogue, "folder", lambda: folder)
    return folder


def row(call: Call, cell: str, *words: str) -> dict[str, str]:
    rows = json.loads(call("matrix", "--cell", cell, "--json", *words).stdout)
    (one,) = rows
    found: dict[str, str] = one
    return found


def test_of_an_image_alone_there_is_a_row(known: Path, call: Call) -> None:
    cell = "debian-10/x86_64"
    found = row(call, cell)
    assert (found["status"], found["reason"]) == ("unreachable", IMAGE_ALONE)
    everything = json.loads(call("matrix", "--json").stdout)
    assert [one["cell"] for one in everything].count(cell) == 1
    assert [one["cell"] for one in everything].count(CELL) == 1
    assert f"harness image fetch {cell}\n" in call("image", "verify", cell).stderr
    assert f"harness image build {CELL}\n" in call("image", "verify", CELL).stderr
    for words in (["shell", cell], ["image", "build", cell], ["explain", "P15", "--cell", cell],
                  ["run", "--cell", cell], ["run", "--distro", "debian-10", "--engine-version",
                   "20.10.24"]):  # fmt: skip
        said = call(*words)
        assert said.exit_code == 4, said.output
        assert IMAGE_ALONE in said.stderr


def test_an_empty_catalogue(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(catalogue.VARIABLE, str(tmp_path))
    said = call("image", "check")
    assert said.exit_code == 4
    assert said.stderr == f"harness: the catalogue is empty: {tmp_path}\n"


def test_from_the_catalogue_to_a_verified_image(known: Path, call: Call, disk: bytes) -> None:
    listed = call("image", "list", "--upstream").stdout
    assert "not fetched" in listed
    fetched = call("image", "fetch", CELL)
    assert fetched.exit_code == 0, fetched.stderr
    assert Path(fetched.stdout.strip()).read_bytes() == disk
    assert "pinned digest" in fetched.stderr
    (line,) = [one for one in call("image", "list").stdout.splitlines() if CELL in one]
    assert line.split()[1] == "upstream"
    assert line.endswith("current")
    assert sha(disk) in call("image", "verify", CELL).stdout
    assert call("image", "fetch", CELL, "--offline").stdout == fetched.stdout
    assert "which --offline forbids" in call("image", "fetch", CELL, "--offline", "--force").stderr
    assert "cached" in call("image", "list", "--upstream").stdout


def test_an_image_that_is_no_cell_of_the_matrix(known: Path, call: Call, disk: bytes) -> None:
    assert call("image", "fetch", "debian-10/x86_64").exit_code == 0
    assert sha(disk) in call("image", "verify", "debian-10/x86_64").stdout


def test_a_damaged_one_is_found(known: Path, call: Call) -> None:
    path = Path(call("image", "fetch", CELL).stdout.strip())
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    said = call("image", "verify", CELL)
    assert said.exit_code == 16
    assert f"  $ harness image fetch {CELL} --force\n" in said.stderr


def test_a_changed_catalogue_is_seen(known: Path, call: Call) -> None:
    call("image", "fetch", CELL)
    file = known / "debian.toml"
    file.write_text(file.read_text().replace("/d\"", "/e\""))
    (line,) = [one for one in call("image", "list").stdout.splitlines() if CELL in one]
    assert line.endswith("old catalogue")


def test_check(known: Path, server: Place, call: Call) -> None:
    result = call("image", "check", CELL)
    assert result.exit_code == 0
    assert "answers" in result.stdout
    del server.files["/d"]
    result = call("image", "check", "debian-1?/x86_64")
    assert result.exit_code == 1
    assert "gone" in result.stdout


def test_one_image_at_a_time(known: Path, call: Call) -> None:
    result = call("image", "fetch", "debian-*")
    assert result.exit_code == 4
    assert "matches several cells" in result.stderr


def test_a_broken_catalogue_is_one_line(known: Path, call: Call) -> None:
    (known / "debian.toml").write_text('distro = "debian"\nimage = 3\n')
    for words in (("matrix",), ("image", "fetch", CELL), ("image", "check")):
        result = call(*words)
        assert result.exit_code == 4
        assert result.stderr.strip().endswith("image: expected at least one [[image]]")
        assert result.stderr.count("\n") == 1


def test_the_matrix_says_which_source_and_why(known: Path, call: Call) -> None:
    here = row(call, CELL)
    if here["status"] == "available":  # this machine has the emulator
        assert here["source"] == "built"
        assert "upstream: not fetched" in here["why"]
    there = row(call, "debian-forky/aarch64")
    assert there["status"] == "unreachable"
    assert "upstream: there is only an installer" in there["reason"]
    assert "built: " in there["reason"]
    assert "twin: none is written" in there["reason"]


def test_the_matrix_of_one_source(known: Path, call: Call) -> None:
    for source, reason in (
        ("upstream", f"upstream: not fetched (harness image fetch {CELL})"),
        ("twin", "twin: none is written"),
    ):
        assert row(call, CELL, "--image-source", source)["reason"] == reason
    assert row(call, "debian-12/s390x", "--image-source", "twin")["status"] == "unsupported"


def test_advice_leads_somewhere(known: Path, call: Call) -> None:
    said = call("image", "verify", "debian-12/s390x")
    assert said.exit_code == 4
    assert said.stderr.splitlines()[-1].endswith("$ harness matrix")
    said = call("shell", "debian-forky/aarch64")
    assert "upstream: there is only an installer" in said.stderr


def test_a_fetched_image_is_preferred(known: Path, call: Call, place: Path) -> None:
    call("image", "fetch", CELL)
    rows = [support(DEBIAN_12, "x86_64"), support(DEBIAN_12, "x86_64", mode="cgroup-v1")]
    images, entries = cache().images, catalogue.load_all()
    found, mode = sourced(rows, entries, images)
    assert found.row.source == "upstream"
    assert found.why == "the distro's own, pinned digest"
    assert mode.row.source == "built"
    assert "its boot loader has its own kernel arguments" in mode.why
    (asked, _) = sourced(rows, entries, images, "built")
    assert asked.row.source == "built"
    (altered, _) = sourced(rows, entries, images, "upstream", "quiet")
    assert altered.row.status == "unreachable"
    assert "without quiet" in altered.row.reason


def test_a_command_takes_the_source_and_the_cache_that_it_is_told(
    known: Path, call: Call, tmp_path: Path
) -> None:
    other = str(tmp_path / "other")
    assert call("image", "fetch", CELL, "--cache-dir", other).exit_code == 0
    assert one_cell(CELL, cache_dir=other, source="upstream").id == CELL
    refusals: list[dict[str, Any]] = [
        {"source": "upstream"},
        {"source": "upstream", "cache_dir": other, "kernel_arguments": "quiet"},
        {"source": "twin", "cache_dir": other},
    ]
    for refused in refusals:
        with pytest.raises(UsageError, match="cannot boot here"):
            one_cell(CELL, **refused)
    result = call("shell", CELL, "--image-source", "twin", "--cache-dir", other)
    assert "twin: none is written" in result.stderr


def test_an_image_whose_machine_cannot_be_had_is_passed_over(
    known: Path, call: Call, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("image", "fetch", CELL)
    rows = [support(DEBIAN_12, "x86_64")]
    file = known / "debian.toml"
    text = file.read_text()
    file.write_text(text.replace('"bios"', '"uefi"'))
    monkeypatch.setattr(firmware, "DESCRIPTIONS", (place / "none",))
    (lacking,) = sourced(rows, catalogue.load_all(), cache().images)
    assert lacking.row.source == "built"
    assert "upstream: fetched, but debian-12/x86_64 boots with uefi" in lacking.why
    assert "install the package ovmf" in lacking.why
    file.write_text(text.replace('"disk" = "virtio"', '"disk" = "nvme"'))
    (strange,) = sourced(rows, catalogue.load_all(), cache().images)
    assert "it needs a disk on nvme" in strange.why


@pytest.mark.parametrize(("here", "boots"), [("202211", False), ("202008", True), ("", True)])
def test_an_image_that_crashes_on_the_firmware_here_is_passed_over(
    here: str, boots: bool, known: Path, call: Call, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    call("image", "fetch", CELL)
    file = known / "debian.toml"
    text = file.read_text()
    file.write_text(text.replace('["bios"]', '["uefi"], "edk2_before" = "202211"'))
    assert file.read_text() != text
    monkeypatch.setattr(firmware, "choose", lambda *_: firmware.UEFI)
    monkeypatch.setattr(firmware, "edk2", lambda arch: here)
    (found,) = sourced([support(DEBIAN_12, "x86_64")], catalogue.load_all(), cache().images)
    assert (found.row.source == "upstream") == boots
    assert ("crashes on EDK2 202211 and later, and this machine has 202211" in found.why) != boots


def test_no_download_is_advised_that_could_not_boot(
    known: Path, call: Call, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    rows = [support(DEBIAN_12, "x86_64"), support(DEBIAN_12, "x86_64", mode="cgroup-v1")]
    file = known / "debian.toml"
    text = file.read_text()
    assert "will not boot here" not in call("image", "fetch", "debian-10/x86_64").stderr
    for boot, why in (
        (text.replace('"disk" = "virtio"', '"disk" = "nvme"'), "it needs a disk on nvme"),
        (text.replace('"bios"', '"uefi"'), "debian-12/x86_64 boots with uefi, and this machine"),
    ):
        file.write_text(boot)
        monkeypatch.setattr(firmware, "DESCRIPTIONS", (place / "none",))
        found, mode = sourced(rows, catalogue.load_all(), cache().images)
        assert f"upstream: not fetched: {why}" in found.why
        assert "upstream: not fetched: its boot loader has its own kernel arguments" in mode.why
        assert f"{CELL}: it will not boot here: {why}" in call("image", "fetch", CELL).stderr
        shutil.rmtree(cache().images)


def test_an_architecture_that_is_new_is_a_row_and_no_mistake(
    known: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (schema, registry):
        monkeypatch.setattr(module, "ARCHES", (*matrix.ARCHES, "riscv64"))
    file = known / "debian.toml"
    file.write_text(file.read_text().replace("debian-forky/aarch64", "debian-13/riscv64")
                    .replace('"iso"', '"raw"'))  # fmt: skip
    found = row(call, "debian-13/riscv64")
    assert found["status"] == "unreachable"
    assert "upstream: not fetched: the harness does not know machines of" in found["reason"]


def test_an_unknown_source_is_refused(call: Call) -> None:
    assert call("matrix", "--image-source", "rumour").exit_code == 4
    with pytest.raises(UsageError):
        catalogue.select(("nope",))
