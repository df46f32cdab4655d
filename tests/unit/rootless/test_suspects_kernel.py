"""What the looking for suspects notes of the kernel: what it is set to, devices and modules."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from harness.rootless.suspects import guest_kernel, guest_notes, guest_running


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """What the modules that run in the guest note."""
    noted: list[list[Any]] = []
    monkeypatch.setattr(guest_notes, "found", noted)
    return noted


@pytest.mark.parametrize(
    "name", ["kernel/keys/maxbytes", "vm/max_map_count", "fs/file-max", "kernel/threads-max"]
)
def test_a_limit_is_no_counter(name: str) -> None:
    assert not guest_kernel.CHANGING.search(f"/proc/sys/{name}")


@pytest.mark.parametrize(
    "name", ["net/netfilter/nf_conntrack_count", "kernel/hung_task_detect_count", "fs/file-nr"]
)
def test_a_counter_is_left_out(name: str) -> None:
    assert guest_kernel.CHANGING.search(f"/proc/sys/{name}")


DEP = """kernel/drivers/net/veth.ko.xz:
kernel/net/bridge/bridge.ko.xz: kernel/net/802/stp.ko.xz kernel/net/llc/llc.ko.xz
"""


def modules(monkeypatch: pytest.MonkeyPatch, dep: str, *files: str) -> None:
    top = f"/lib/modules/{os.uname().release}"
    said = {f"{top}/modules.dep": dep.encode(), f"{top}/modules.builtin": b"kernel/net/tun.ko\n"}
    monkeypatch.setattr(guest_kernel, "read", lambda path: said.get(path, b""))
    there = {f"{top}/{file}" for file in files}
    monkeypatch.setattr(os.path, "isfile", lambda path: path in there)
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    guest_kernel.modules()


def test_a_module_whose_file_or_whose_needed_one_is_gone_is_odd(
    seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    modules(monkeypatch, DEP, "kernel/net/bridge/bridge.ko.xz", "kernel/net/802/stp.ko.xz")
    assert [text for _, text, odd, _ in seen if odd] == [
        "of the module bridge kernel/net/llc/llc.ko.xz is gone",
        "of the module veth kernel/drivers/net/veth.ko.xz is gone",
    ]
    assert "the kernel has tun built in" in [text for _, text, *_ in seen]


def test_without_veth_no_container_has_a_network(
    seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    modules(monkeypatch, "kernel/net/bridge/bridge.ko:\n", "kernel/net/bridge/bridge.ko")
    assert [text for _, text, odd, _ in seen if odd] == ["the kernel has no module veth"]


@pytest.mark.parametrize(
    ("path", "mode", "told"),
    [
        ("/dev/vda", 0o60660, ""),
        ("/dev/vda", 0o60666, "the disk /dev/vda of root and group 6 has mode 666"),
        ("/dev/full", 0o100666, "the file /dev/full of root and group 6 has mode 666"),
        ("/dev/tty", 0o20600, "the device /dev/tty of root and group 6 has mode 600"),
    ],
)
def test_a_device_that_is_odd(
    path: str, mode: int, told: str, seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lstat(asked: str) -> SimpleNamespace:
        return SimpleNamespace(st_mode=mode if asked == path else 0o20666, st_uid=0, st_gid=6)

    monkeypatch.setattr(os, "listdir", lambda directory: ["vda", "tty0", "kvm"])
    monkeypatch.setattr(os, "lstat", lstat)
    guest_kernel.devices()
    assert [text for _, text, odd, _ in seen if odd] == ([told] if told else [])
    assert "device /dev/tty0" not in [key for key, *_ in seen]


def test_a_device_that_every_container_has_and_the_machine_has_not(
    seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lstat(asked: str) -> SimpleNamespace:
        if asked in ("/dev/full", "/dev/net/tun"):
            raise FileNotFoundError(asked)
        return SimpleNamespace(st_mode=0o20666, st_uid=0, st_gid=0)

    monkeypatch.setattr(os, "listdir", lambda directory: [])
    monkeypatch.setattr(os, "lstat", lstat)
    guest_kernel.devices()
    assert [text for _, text, odd, _ in seen if odd] == ["/dev/full is not there"]


def test_a_stopped_daemon_is_odd(seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    status = b"Name:\tslirp4netns\nState:\tT (stopped)\nSeccomp:\t0\n"
    monkeypatch.setattr(
        guest_running, "read", lambda path: status if path.endswith("status") else b""
    )
    guest_running.confinement("process slirp4netns", "slirp4netns", "7")
    assert [text for _, text, odd, _ in seen if odd] == ["slirp4netns is stopped"]
