"""A disk with boot loaders: made here, served, fetched and verified as a distro's own, booted with
BIOS and with UEFI, and used by scenarios.  One of aarch64 boots with UEFI alone.  One has no virtio
and looks for its seed in a cloud, until a file is put into it before it boots.  Two have no busybox
and an sshd that reads no further files and lets no root in, as other distros have."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pysequoia
import pytest
from msgspec import structs

from harness.distros import registry
from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.hypervisor import firmware
from harness.image import bootable, recipe, store
from harness.image.model import Image
from harness.image.upstream import catalogue, fetch
from harness.image.upstream.web import Web
from harness.matrix import EMULATOR_PACKAGES, Cell
from harness.paths import Cache, cache
from harness.rootless import engine, sourcing
from harness.rootless.lab import Lab
from harness.rootless.options import Options
from tests.unit.image.upstream.toml import dump
from tests.vm.conftest import CELL, Outcome

pytestmark = pytest.mark.nightly

DISK, SUMS = "debian.qcow2", "SHA512SUMS"
VARIABLES = "/sys/firmware/efi/efivars"
OURS = f"{VARIABLES}/Harness-5d7c5bb2-7d0a-4c55-9e6c-1f6d4bb0a1c3"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def signer() -> pysequoia.Tsk:
    return pysequoia.Tsk.generate("Toy <toy@example.invalid>")


@dataclass(frozen=True)
class Way:
    """A cell, and the firmware that its disk boots with.  ``bare``: of a kernel without virtio, and
    a cloud-init that is told of no NoCloud.  ``lean``: without what Debian's images have and others
    have not."""

    cell: Cell
    boots: str
    bare: bool = False
    lean: bool = False

    @property
    def name(self) -> str:
        """Of the disk that is published, without its ending."""
        return f"{self.cell.slug}{'-bare' if self.bare else ''}"

    @property
    def boot(self) -> dict[str, Any]:
        """The machine, in the catalogue's words."""
        hardware = (
            {"disk": "sata", "seed": "sata", "nic": "e1000e"} if self.bare
            else {"disk": "virtio", "seed": "virtio", "nic": "virtio"}
        )  # fmt: skip
        return hardware | {
            "firmware": [self.boots], "root": "ext4", "console": "ttyS0", "user": "debian",
            "datasources": ["Ec2"] if self.bare else ["NoCloud"],
        }  # fmt: skip

    @property
    def recipe(self) -> recipe.Recipe:
        plain = recipe.load(f"{self.cell.distro}-{self.cell.release}")
        if not self.bare:
            return plain
        # The kernel for clouds knows neither SATA nor e1000e.
        on = structs.replace(
            plain.on(self.cell.arch), kernel="linux-image-amd64",
            cmdline=f"{plain.on(self.cell.arch).cmdline} modprobe.blacklist=virtio_pci",
        )  # fmt: skip
        return structs.replace(
            plain, arch={self.cell.arch: on}, cloud=plain.cloud | {"datasource_list": ["Ec2"]}
        )


SEED_FIX = {
    "why": "it looks for Ec2 alone", "when": "before-boot",
    "files": [{
        "path": "/etc/cloud/cloud.cfg.d/99-nocloud.cfg", "content": "datasource_list: [NoCloud]\n",
    }],
}  # fmt: skip


# What Photon's says (SPECS/openssh): nothing is included, and root may not enter.
SSHD = "UsePAM yes\nPermitRootLogin no\nMaxAuthTries 4\n"
LEAN = {
    "sshd": {
        "why": "it includes no other file", "when": "before-boot",
        "files": [
            {"path": "/etc/ssh/sshd_config", "content": SSHD},
            # A module that cloud-init runs in the images of distros, and in ours not.
            {"path": "/etc/cloud/cloud.cfg.d/91-bootcmd.cfg",
             "content": "cloud_init_modules: [bootcmd, write-files, users-groups, ssh]\n"},
        ],
    },
    "busybox": {
        "why": "others have none", "when": "first-boot", "commands": ["rm /usr/bin/busybox"],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A directory, and its URL."""
    where = tmp_path_factory.mktemp("published")
    handler = functools.partial(Quiet, directory=str(where))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield where, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def published(way: Way, server: tuple[Path, str], signer: pysequoia.Tsk) -> str:
    """The URL of a directory as a distro has it: a disk, its digest, and a signature of that."""
    where, url = server[0] / way.name, f"{server[1]}/{way.name}"
    if where.exists():
        return url
    if lacking := bootable.missing(way.cell.arch):
        pytest.skip(f"needs the packages {', '.join(lacking)}")
    built = store.ensure(way.recipe, way.cell.arch, cache().images)
    bootable.export(built, where / DISK, "qcow2", lambda _: None)
    with (where / DISK).open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").hexdigest()
    sums = f"{digest}  {DISK}\n".encode()
    (where / SUMS).write_bytes(sums)
    mode = pysequoia.SignatureMode.DETACHED
    (where / f"{SUMS}.sig").write_bytes(pysequoia.sign(signer.signer(), sums, mode=mode))
    return url


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache of its own, which the fetched image goes into once."""
    return cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def way(request: pytest.FixtureRequest) -> Way:
    """The parameter, if this machine has what it needs."""
    chosen: Way = request.param
    if chosen.boots == firmware.UEFI and firmware.uefi(chosen.cell.arch) is None:
        pytest.skip(f"needs the package {firmware.PACKAGES[chosen.cell.arch]}")
    if shutil.which(f"qemu-system-{chosen.cell.arch}") is None:
        pytest.skip(f"needs the package {EMULATOR_PACKAGES[chosen.cell.arch]}")
    return chosen


@pytest.fixture
def image(
    way: Way, published: str, place: Cache, signer: pysequoia.Tsk, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Image:  # fmt: skip
    """The disk, fetched by a catalogue that says what it boots with."""
    certificate = signer.extract_certificate()
    keys, folder = tmp_path / "keys", tmp_path / "catalogue"
    keys.mkdir()
    folder.mkdir()
    (keys / "toy.asc").write_text(str(certificate))
    (folder / "debian.toml").write_text(dump({
        "distro": "debian",
        "keys": {"toy": {
            "fingerprint": certificate.fingerprint.upper(), "owner": "Toy", "obtain": "ask"}},
        "boot": {"disk": way.boot},
        "fixes": {
            **({"seed": SEED_FIX} if way.bare else {}),
            **(LEAN if way.lean else {}),
            "inside": {"why": "a test", "when": "before-boot", "files": [
                {"path": "/etc/harness/inside", "content": "in the disk"}]},
            "later": {"why": "a test", "when": "first-boot", "commands": [
                "cp /etc/harness/inside /etc/harness/later"]}},
        "image": [{
            "cell": way.cell.id, "provenance": "self-built", "format": "qcow2", "boot": "disk",
            "end_of_life": "unknown",
            "fixes": [
                *(["seed"] if way.bare else []), *(LEAN if way.lean else []), "inside", "later",
            ],
            "latest": {
                "url": f"{published}/{DISK}",
                "checksum": {"url": f"{published}/{SUMS}"},
                "signature": {"url": f"{published}/{SUMS}.sig", "key": "toy"}}}],
    }))  # fmt: skip
    monkeypatch.setenv(catalogue.VARIABLE, str(folder))
    entry = catalogue.entry(way.cell.id)
    assert entry
    with Web() as web:
        fetch.fetch(entry, place.images, lambda _: None, fetch.Options(keys=keys, web=web))
    return sourcing.image(way.cell, registry.of(way.cell), place.images, "auto", "", lambda _: None)


@pytest.fixture
def lab(place: Cache, image: Image, tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(Options(place, tmp_path.name, tmp_path / "lab", progress=lambda _: None))
    yield lab
    lab.close()


def has_booted_by(guest: Guest, way: Way) -> None:
    efi = guest.root.run("test", "-d", VARIABLES, check=False).ok
    assert efi == (way.boots == firmware.UEFI)
    disk = "sda" if way.bare else "vda"
    assert guest.root.run("findmnt", "-no", "SOURCE", "/").stdout.strip() == f"/dev/{disk}2"
    virtio = guest.root.sh("ls /sys/bus/virtio/devices", check=False).stdout.split()
    assert bool(virtio) != way.bare
    drift = abs(float(guest.root.run("date", "+%s.%N").stdout) - time.time())
    assert drift < 5 * guest.scale


WAYS = pytest.mark.parametrize(
    "way",
    [
        Way(CELL, firmware.BIOS),
        Way(CELL, firmware.UEFI),
        Way(CELL, firmware.BIOS, bare=True),
        Way(CELL, firmware.BIOS, lean=True),
        Way(replace(CELL, arch="aarch64"), firmware.UEFI, lean=True),
    ],
    ids=lambda way: f"{way.name}-{way.boots}{'-lean' if way.lean else ''}",
    indirect=True,
)


@WAYS
def test_a_fetched_disk_boots_and_its_states_restore(
    lab: Lab, image: Image, way: Way, own_distro: Distro
) -> None:
    assert image.kernel is None
    assert image.origin is not None
    assert image.origin.trust.startswith("signed by")
    guest = lab.guest(way.cell, own_distro, "booted")
    has_booted_by(guest, way)
    assert guest.root.read("/etc/harness/later") == "in the disk"
    if way.lean:
        ours = SSHD.replace("PermitRootLogin no", "PermitRootLogin prohibit-password")
        assert guest.root.read("/etc/ssh/sshd_config") == ours
        assert guest.user.run("busybox", "true").ok
    before = guest.root.read("/proc/sys/kernel/random/boot_id")
    if way.boots == firmware.UEFI:
        guest.root.sh(f"printf '\\007\\000\\000\\000x' > {OURS}")
    guest.reboot()
    assert guest.root.read("/proc/sys/kernel/random/boot_id") != before
    if way.boots == firmware.UEFI:  # kept in the guest's own copy, and in no other's
        assert guest.root.run("test", "-e", OURS, check=False).ok
    guest.end()
    again = lab.guest(way.cell, own_distro, "booted")
    assert not again.root.run("test", "-e", OURS, check=False).ok
    again.end()
    guest = lab.guest(way.cell, own_distro, "daemon")
    has_booted_by(guest, way)
    assert engine.rootless(guest).answers()
    assert {state.name for state in lab.states.all()} >= {"booted", "prepared", "daemon"}


@WAYS
def test_scenarios_run_on_a_fetched_disk(
    image: Image, way: Way, place: Cache, published: str, tmp_path: Path,
    run_scenarios: Callable[..., Outcome],
) -> None:  # fmt: skip
    outcome = run_scenarios(
        "scenarios/test_ports.py::test_port_80",
        "scenarios/test_info.py",
        "scenarios/test_storage.py::test_driver",
        "scenarios/test_storage.py::test_vfs_asked_for",
        "--image-source", "upstream", "--cache-dir", str(place.root),
        cell=way.cell.id,
    )  # fmt: skip
    assert outcome.status == 0, outcome.screen
    verdicts = [row["verdict"] for rows in outcome.rows.values() for row in rows]
    assert verdicts.count("holds") >= 10, outcome.screen
    assert set(verdicts) <= {"holds", "not-applicable"}, outcome.screen
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (cell,) = record["cells"]
    assert cell["image"]["source"] == "upstream"
    assert cell["image"]["digest"] == image.digest
    assert cell["image"]["origin"].startswith(f"{published}/{DISK}, signed by ")
