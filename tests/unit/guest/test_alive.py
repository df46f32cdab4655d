"""Whether a guest is alive, asked of libvirt's own test driver."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from harness.errors import TestbedError
from harness.guest.guest import Access, Guest
from harness.guest.keys import Identity
from harness.hypervisor.acceleration import Acceleration
from harness.hypervisor.connection import connect
from harness.hypervisor.domain import MachineSpec
from harness.hypervisor.machine import Machine

XML = """<domain type="test"><name>alive</name><memory>8192</memory><os><type>hvm</type></os>
</domain>"""


@pytest.fixture
def domain() -> Iterator[libvirt.virDomain]:
    found = connect("test:///default").handle.createXML(XML, 0)
    yield found
    with contextlib.suppress(libvirt.libvirtError):
        found.destroy()


def test_a_paused_guest_is_the_test_beds_fault(domain: libvirt.virDomain, tmp_path: Path) -> None:
    """QEMU pauses a guest that cannot write; it is active all the same."""
    scratch = tmp_path / "guests" / "one"
    spec = MachineSpec(
        name="guest", arch="x86_64", disk=scratch / "disk", seed=scratch / "seed", kernel=None,
        initrd=None, cmdline="", console=tmp_path / "console.log", ssh_port=1, thaw=tmp_path / "t",
    )  # fmt: skip
    machine = Machine(
        connect("test:///default"), spec, Acceleration("tcg", "", 1.0), uuid.uuid4()
    )
    machine._domain = domain
    guest = Guest("debian-12/x86_64", machine, Access(Identity("", ""), "", "tester"), scale=1.0)
    guest.check_alive()
    domain.suspend()
    with pytest.raises(TestbedError, match="the guest is paused") as caught:
        guest.check_alive()
    assert caught.value.command == f"df -h {tmp_path / 'guests'}"
    domain.resume()
    guest.check_alive()
    domain.destroy()
    with pytest.raises(TestbedError, match="QEMU ended"):
        guest.check_alive()
