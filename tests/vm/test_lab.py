"""What a restored guest is, asked of real guests."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.distros.base import Distro
from harness.errors import GuestRefusal, TestbedError
from harness.guest.connection import Connection
from harness.guest.keys import new_host_key
from harness.guest.session import CommandTimeout
from harness.hypervisor.leases import Leases, qemu_processes
from harness.paths import cache
from harness.rootless import engine, kept
from harness.rootless.lab import Lab
from tests.vm.conftest import CELL


def test_restored_guests_are_alike_and_apart(own_lab: Lab, own_distro: Distro) -> None:
    """The clock is right, entropy is each guest's own, the daemon answers, nothing is shared."""
    random, identities = set(), set()
    for _ in range(2):
        guest = own_lab.guest(CELL, own_distro, "daemon")
        drift = abs(float(guest.root.run("date", "+%s.%N").stdout) - time.time())
        assert drift < 5 * guest.scale
        random.add(guest.root.run("head", "-c", "16", "/dev/urandom").stdout)
        identities.add(guest.root.read("/etc/machine-id"))
        assert engine.rootless(guest).answers()
        assert not guest.user.run("test", "-e", "seen", check=False).ok
        guest.user.write("seen", "by one guest only")
        assert guest.user.read("seen") == "by one guest only"
        guest.end()
    assert len(random) == 2
    assert len(identities) == 1


def test_the_user_has_a_login_session(own_lab: Lab, own_distro: Distro) -> None:
    guest = own_lab.guest(CELL, own_distro, "booted")
    environment = guest.user.run("env").stdout
    assert "XDG_RUNTIME_DIR=/run/user/1000" in environment
    assert "XDG_SESSION_ID=" in environment
    assert guest.user.run("id", "-u").stdout.strip() == "1000"
    assert not guest.user.run("sudo", "-n", "true", check=False).ok


def test_results_keep_streams_and_statuses_apart(own_lab: Lab, own_distro: Distro) -> None:
    guest = own_lab.guest(CELL, own_distro, "booted")
    result = guest.user.sh("echo out; echo err >&2; exit 7", check=False)
    assert (result.stdout, result.stderr, result.exit_status) == ("out\n", "err\n", 7)
    assert guest.user.run("echo", "a b", "$HOME;'\"").stdout == "a b $HOME;'\"\n"
    big = guest.user.sh("head -c 3000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2")
    assert len(big.stdout) == 3_000_000
    assert len(big.stderr) == 300_000
    with pytest.raises(GuestRefusal, match="exited with 3"):
        guest.user.sh("exit 3")
    with pytest.raises(CommandTimeout):
        guest.user.run("sleep", "60", timeout=0.3)


def test_a_panic_is_the_test_beds_fault_and_is_told_at_once(
    own_lab: Lab, own_distro: Distro
) -> None:
    guest = own_lab.guest(CELL, own_distro, "booted")
    guest.root.sh("echo 1 > /proc/sys/kernel/sysrq; echo 0 > /proc/sys/kernel/panic")
    with pytest.raises(TestbedError, match="panicked") as caught:
        guest.root.sh("(sleep 0.2; echo c > /proc/sysrq-trigger) & sleep 120", timeout=120)
    assert "console" in caught.value.detail


def test_a_killed_guest_is_the_test_beds_fault(own_lab: Lab, own_distro: Distro) -> None:
    """Also for who does not ask how its command ended, and in the middle of a reboot."""
    guest = own_lab.guest(CELL, own_distro, "booted")
    with pytest.raises(GuestRefusal, match="was ended by a signal"):
        guest.user.sh("kill -KILL $$")
    guest.root.run("true")
    (qemu,) = qemu_processes(str(guest.machine.spec.disk.parent))
    killer = threading.Timer(2, qemu.kill)
    killer.start()
    with pytest.raises(TestbedError):
        guest.user.run("sleep", "60", check=False)
    killer.join()
    with pytest.raises(TestbedError, match="QEMU ended"):
        guest.reboot()


@pytest.mark.nightly  # fills a disk and the memory: minutes
def test_a_guest_that_lacks_something_is_told(own_lab: Lab, own_distro: Distro) -> None:
    guest = own_lab.guest(CELL, own_distro, "booted")
    guest.root.sh(
        "systemd-run -q --wait -p MemoryMax=32M sh -c 'head -c 200M /dev/zero | tail'", check=False
    )
    assert "Memory cgroup out of memory" in guest.root.run("dmesg").stdout
    guest.check_health()
    guest.root.sh('fallocate -l "$(($(df --output=avail -BM / | tail -1 | tr -d M) - 50))M" /full')
    with pytest.raises(TestbedError, match="no room left on /") as caught:
        guest.check_health()
    assert "console" in caught.value.detail
    guest.root.run("rm", "/full")
    guest.check_health()
    guest.root.sh("head -c 4G /dev/zero | tail", timeout=120, check=False)
    with pytest.raises(TestbedError, match="the kernel says: Out of memory: Kill"):
        guest.check_health()


def test_a_wrong_host_key_is_refused(own_lab: Lab, own_distro: Distro) -> None:
    guest = own_lab.guest(CELL, own_distro, "booted")
    with pytest.raises(TestbedError, match="host key"):
        Connection(
            "root", guest.machine.spec.ssh_port, guest.access.identity, new_host_key().public,
            scale=guest.scale, watch=lambda: None,
        )  # fmt: skip


def test_ssh_listens_on_the_loopback_alone(own_lab: Lab, own_distro: Distro) -> None:
    guest = own_lab.guest(CELL, own_distro, "booted")
    port = guest.machine.spec.ssh_port
    addresses = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.laddr.port == port
        and connection.status == psutil.CONN_LISTEN
    }  # fmt: skip
    assert addresses == {"127.0.0.1"}


def test_a_reboot_is_one_and_takes_the_guests_command_line(
    own_lab: Lab, own_distro: Distro
) -> None:
    guest = own_lab.guest(CELL, own_distro, "booted")
    before = guest.root.read("/proc/sys/kernel/random/boot_id")
    cmdline = guest.machine.spec.cmdline + " harness.test=1"
    guest.root.write("/etc/kernel/cmdline", cmdline)
    guest.root.write("/root/kept", "on disk")
    guest.reboot()
    assert guest.root.read("/proc/sys/kernel/random/boot_id") != before
    assert "harness.test=1" in guest.root.read("/proc/cmdline")
    assert guest.root.read("/root/kept") == "on disk"


def test_nothing_is_left_of_an_ended_guest(own_lab: Lab, own_distro: Distro) -> None:
    guest = own_lab.guest(CELL, own_distro, "booted")
    scratch = guest.machine.spec.disk.parent
    assert list(qemu_processes(str(scratch)))
    guest.end()
    assert not list(qemu_processes(str(scratch)))
    assert not scratch.exists()
    assert not [lease for lease in own_lab.leases.all() if lease.directory == str(scratch)]


def test_a_kept_guest_outlives_its_lab_and_ends_when_told(
    own_lab: Lab, own_distro: Distro
) -> None:
    guest = own_lab.guest(CELL, own_distro, "daemon")
    guest.user.write("broken", "as it was")
    scratch = guest.machine.spec.disk.parent
    text = kept.keep(own_lab, guest, "a test")
    own_lab.close()
    leases = Leases(cache().leases)
    name = scratch.name
    try:
        enter = text.split("enter: ")[1].split("   (")[0].split()
        result = subprocess.run(
            [*enter[:1], "-q", *enter[1:], "cat broken; docker ps"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert result.stdout.startswith("as it was"), result
        assert "CONTAINER ID" in result.stdout
        assert not [lease for lease in leases.reap() if lease.name == name]
    finally:
        assert [lease.name for lease in leases.reap(kept=True, only=name)] == [name]
    assert not list(qemu_processes(str(scratch)))
    assert not Path(scratch).exists()


def test_an_altered_state_is_made_from_the_healthy_one(
    own_lab: Lab, own_distro: Distro, tmp_path: Path
) -> None:
    """A hook costs no second installation, and leaves the healthy state as it was."""
    healthy = own_lab.keys_of(CELL, own_distro)
    own_lab.guest(CELL, own_distro, "prepared").end()
    made = own_lab.states.get(healthy["prepared"])
    script = tmp_path / "hook.sh"
    script.write_text("touch /root/altered\n")
    told: list[str] = []
    lab = Lab(replace(
        own_lab.options, run_id=f"{tmp_path.name}-altered", run_dir=tmp_path / "altered",
        hooks={"prepared": (script,)}, progress=told.append,
    ))  # fmt: skip
    try:
        guest = lab.guest(CELL, own_distro, "prepared")
        assert guest.root.run("test", "-e", "/root/altered", check=False).ok
        guest.end()
        keys = lab.keys_of(CELL, own_distro)
        saved = lab.states.get(keys["prepared"])
    finally:
        lab.close()
    assert made is not None
    assert saved is not None
    assert saved.parent == made.key
    assert not any("making state" in line for line in told)
    assert keys["booted"] == healthy["booted"]
    assert keys["daemon"] not in healthy.values()
    guest = own_lab.guest(CELL, own_distro, "prepared")
    assert not guest.root.run("test", "-e", "/root/altered", check=False).ok
    guest.end()
