"""A guest of another architecture than the host's, if this machine has its emulator."""

from __future__ import annotations

import platform
import shutil
import time

import pytest

from harness.distros import registry
from harness.matrix import EMULATOR_PACKAGES, Cell
from harness.rootless import engine
from harness.rootless.lab import Lab

ARCH = "aarch64"
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(platform.machine() == ARCH, reason="this machine is one"),
    pytest.mark.skipif(
        shutil.which(f"qemu-system-{ARCH}") is None,
        reason=f"needs the package {EMULATOR_PACKAGES[ARCH]}",
    ),
]
CELLS = pytest.mark.parametrize(
    "cell", [Cell("debian", "12", ARCH), Cell("debian", "13", ARCH)], ids=str
)


@CELLS
def test_dpkg_finds_every_package_as_it_was_made(own_lab: Lab, cell: Cell) -> None:
    """The image was put together without running dpkg on most of it."""
    root = own_lab.guest(cell, registry.of(cell), "booted").root
    assert root.run("dpkg", "--print-architecture").stdout.strip() == "arm64"
    assert root.run("dpkg", "--audit").stdout == ""
    states = root.run("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}\n").stdout
    assert set(states.split()) == {"ii"}
    # Only files in /etc, some of which the recipe writes itself, may be other than in the packages.
    differing = root.run("dpkg", "--verify", check=False).stdout.splitlines()
    assert [line for line in differing if " c /etc/" not in line] == []
    assert root.run("apt-get", "check", check=False).ok
    assert root.run("systemctl", "--failed", "--no-legend").stdout == ""
    assert "cap_net_raw" in root.run("/sbin/getcap", "/usr/bin/ping").stdout


@CELLS
def test_two_restored_guests_run_containers(own_lab: Lab, cell: Cell) -> None:
    """A restored guest has time, entropy and engine of its own."""
    random = set()
    for _ in range(2):
        guest = own_lab.guest(cell, registry.of(cell), "daemon")
        drift = abs(float(guest.root.run("date", "+%s.%N").stdout) - time.time())
        assert drift < 5 * guest.scale
        random.add(guest.root.run("head", "-c", "16", "/dev/urandom").stdout)
        docker = engine.rootless(guest)
        assert docker.run("busybox", "uname", "-m").stdout.strip() == ARCH
        assert docker("info", "--format", "{{.Architecture}}").stdout.strip() == ARCH
        guest.end()
    assert len(random) == 2
