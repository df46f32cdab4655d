"""Which processor a guest gets."""

from __future__ import annotations

import platform
import uuid
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.hypervisor.acceleration import Acceleration, decide, unsound
from harness.hypervisor.domain import MachineSpec, domain_xml

SPEC = MachineSpec(
    name="guest", arch="x86_64", disk=Path("d"), seed=Path("s"), kernel=Path("k"),
    initrd=Path("i"), cmdline="", console=Path("c"), ssh_port=2222, thaw=Path("t"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("arch", "kind", "qemu", "without"),
    [
        ("x86_64", "tcg", "7.2.22", ("la57", "cx16")),
        ("x86_64", "tcg", "8.0.0", ("la57",)),
        ("x86_64", "tcg", "10.0.2", ("la57",)),
        ("x86_64", "kvm", "7.2.22", ()),
        ("aarch64", "tcg", "7.2.22", ()),
    ],
)
def test_what_qemu_emulates_badly_is_left_out(
    arch: str, kind: str, qemu: str, without: tuple[str, ...]
) -> None:
    assert unsound(arch, kind, qemu) == without


def test_kvm_is_for_the_architecture_of_the_host() -> None:
    other = "x86_64" if platform.machine() == "aarch64" else "aarch64"
    assert decide(other, "kvm").kind == "tcg"
    assert decide(platform.machine(), "kvm").kind == "kvm"


def test_the_processor_lacks_what_is_left_out() -> None:
    tcg = Acceleration("tcg", "asked for", 6.0)

    def features(acceleration: Acceleration) -> list[tuple[str | None, str | None]]:
        root = ET.fromstring(domain_xml(SPEC, acceleration, uuid.uuid4()))
        return [(f.get("policy"), f.get("name")) for f in root.findall("cpu/feature")]

    assert features(tcg) == []
    assert features(replace(tcg, without=("cx16",))) == [("disable", "cx16")]
