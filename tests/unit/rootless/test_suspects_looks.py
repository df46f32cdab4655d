"""What the looking for suspects notes in a guest."""

from __future__ import annotations

import getpass
import os
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.rootless.suspects import guest_notes, guest_programs, guest_settings, guest_ways
from harness.rootless.suspects.guest_modes import leftovers, of_root, permissions
from harness.rootless.suspects.guest_notes import words
from harness.rootless.suspects.guest_running import mounts
from harness.rootless.suspects.guest_settings import OF_AN_ENGINE, OVERRIDE, files


def test_what_is_not_seen_in_a_line_is_shown() -> None:
    assert words(b"# ids\r\ntester:100000:65536\r\n") == "tester:100000:65536\\r"
    assert words("\ufeffroot\u200b\xa0x\tfirst".encode()) == "\\ufeffroot\\u200b\\xa0x\tfirst"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """What the modules that run in the guest note."""
    noted: list[list[Any]] = []
    monkeypatch.setattr(guest_notes, "found", noted)
    return noted


def test_what_an_engine_left_in_the_runtime_directory(
    tmp_path: Path, seen: list[list[Any]]
) -> None:
    (tmp_path / "docker.sock").mkdir(mode=0o700)
    (tmp_path / "docker.pid").touch(mode=0o600)
    (tmp_path / "bus").touch(mode=0o600)
    (tmp_path / "gnupg").mkdir()
    leftovers(str(tmp_path), OF_AN_ENGINE)
    user = getpass.getuser()
    assert [text for _, text, *_ in seen] == [
        f"{tmp_path}/bus is there: a file of {user} with mode 600",
        f"{tmp_path}/docker.pid is there: a file of {user} with mode 600",
        f"{tmp_path}/docker.sock is there: a directory of {user} with mode 700",
    ]


def test_drop_ins_that_packages_bring_are_not_remarkable() -> None:
    drop_in = "lib/systemd/system/user@.service.d/10-login-barrier.conf"
    assert not OVERRIDE.match(f"/usr/{drop_in}")
    assert not OVERRIDE.match(f"/{drop_in}"), "where /lib is a directory of its own"
    assert OVERRIDE.match(f"/usr/local/{drop_in}")


def test_a_directory_and_a_file_of_one_mode_are_told_apart(
    tmp_path: Path, seen: list[list[Any]]
) -> None:
    user = getpass.getuser()
    linger = tmp_path / "linger"
    linger.mkdir(mode=0o755)
    permissions([str(linger)])
    linger.rmdir()
    linger.touch(mode=0o755)
    permissions([str(linger)])
    assert [text for _, text, *_ in seen] == [
        f"the directory {linger} of {user} has mode 755",
        f"the file {linger} of {user} has mode 755",
    ]


def test_a_program_that_becomes_root_is_odd_where_no_distro_brings_it_so(
    tmp_path: Path, seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_programs, "SBIN", [str(tmp_path)])
    became = {"path": "", "owner": 0, "mode": 0o4755, "xattr": ""}
    monkeypatch.setattr(guest_programs, "binary", lambda path: became)
    for name in ("find", "chfn", "newgrp"):
        (tmp_path / name).touch()
    (tmp_path / "sg").symlink_to("newgrp")
    guest_programs.others()
    odd = [text for _, text, odd, _ in seen if odd]
    assert odd == [f"{tmp_path}/find of root has mode 4755"]


def test_an_access_control_list_is_told(
    seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = (1, 6, -1), (2, 4, 0), (4, 4, -1), (8, 3, 27), (16, 7, -1), (32, 0, -1)
    raw = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    monkeypatch.setattr(os, "getxattr", lambda path, name: raw)
    permissions(["/etc/passwd"])
    assert [text for _, text, odd, _ in seen if odd] == [
        "/etc/passwd has an access control list: user root r--, group 27 -wx"
    ]


def test_what_is_roots_deep_in_the_data_root_is_odd(
    tmp_path: Path, seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "volumes" / "a" / "_data").mkdir(parents=True)
    (tmp_path / "volumes" / "metadata.db").touch(mode=0o600)
    (tmp_path / "volumes" / "a" / "_data" / "deeper").touch()
    theirs = {"metadata.db", "deeper"}

    def lstat(path: str) -> SimpleNamespace:
        root = os.path.basename(path) in theirs  # noqa: PTH119
        return SimpleNamespace(st_mode=0o100600, st_uid=0 if root else 1000)

    monkeypatch.setattr(os, "lstat", lstat)
    of_root(str(tmp_path))
    assert [(text, odd) for _, text, odd, _ in seen] == [
        (f"{tmp_path}/volumes/metadata.db is there: a file of root with mode 600", True)
    ]


def test_another_program_is_noted_by_what_it_is(
    tmp_path: Path, seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_programs, "SBIN", [str(tmp_path)])
    program = tmp_path / "selinuxenable"
    program.touch(mode=0o755)
    guest_programs.others()
    program.write_text("#!/bin/sh\nexit 1\n")
    guest_programs.others()
    (_, text, _, before), (_, again, _, after) = seen
    assert text == again == f"{program} of {getpass.getuser()} has mode 755"
    assert before != after


def test_of_a_package_what_is_gone_or_altered_is_told_but_no_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit, rule = tmp_path / "dbus.socket", tmp_path / "dbus.rule"
    rule.write_text("altered")
    digest = "d41d8cd98f00b204e9800998ecf8427e"
    paths = (unit, rule, Path("/usr/share/doc/dbus/gone.gz"))
    (tmp_path / "dbus.md5sums").write_text("".join(f"{digest}  {str(p)[1:]}\n" for p in paths))
    monkeypatch.setattr(guest_programs, "INFO", f"{tmp_path}/")
    assert guest_programs.altered("dbus:amd64", set()) == [str(unit), str(rule)]


LDD = """/usr/bin/ip:
\tlinux-vdso.so.1 (0x00007ffd)
\tlibmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x00007f3a)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f3b)
/usr/bin/slirp4netns:
\tlibslirp.so.0 => not found
\tlibmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x00007f3a)
/usr/bin/runc:
/usr/bin/runc: /lib/libc.so.6: version `GLIBC_2.99' not found (required by /usr/bin/runc)
/usr/bin/docker:
\tnot a dynamic executable
"""


def test_libraries_of_programs_and_what_they_lack() -> None:
    paths, lacking = guest_ways.linked(LDD)
    assert paths == ["/lib/x86_64-linux-gnu/libmnl.so.0", "/lib64/ld-linux-x86-64.so.2"]
    assert [program for program, _ in lacking] == ["/usr/bin/slirp4netns", "/usr/bin/runc"]
    assert lacking[0][1] == "libslirp.so.0"
    assert "version `GLIBC_2.99' not found" in lacking[1][1]


def test_a_directory_of_root_that_others_may_not_enter_or_may_write_in_is_odd(
    seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stat(directory: str) -> SimpleNamespace:
        mode, uid = {
            "/usr/lib": (0o40700, 0), "/home/bin": (0o40700, 1000), "/usr": (0o40777, 0),
            "/tmp": (0o41777, 0),
        }.get(directory, (0o40755, 0))  # fmt: skip
        return SimpleNamespace(st_mode=mode, st_uid=uid)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    guest_ways.ways(["/usr/lib/libc.so.6", "/home/bin/docker", "/tmp/it"])
    assert [text for _, text, odd, *_ in seen if odd] == [
        "the directory /usr of root has mode 777",
        "the directory /usr/lib of root has mode 700",
    ]


def test_packages_without_a_program_are_compared_too() -> None:
    for name in ("dbus-user-session", "libfuse3-4:amd64", "libpam-systemd:amd64"):
        assert guest_programs.NEEDED.fullmatch(f"{name}.md5sums")
    assert not guest_programs.NEEDED.fullmatch("dbus-bin.md5sums")
    assert not guest_programs.NEEDED.fullmatch("dbus.list")


def test_a_package_that_dpkg_holds_is_told(
    seen: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = (
        "Package: rootlesskit\nStatus: hold ok not-installed\n\n"
        "Package: uidmap\nStatus: install ok installed\nDescription: hold on\n"
    )
    said = {"/var/lib/dpkg/status": status.encode()}
    monkeypatch.setattr(guest_programs, "read", lambda path: said.get(path, b""))
    guest_programs.by_hand()
    assert [(text, odd) for _, text, odd, *_ in seen] == [
        ("dpkg holds the package rootlesskit", True)
    ]


def test_what_the_users_systemd_gives_is_noted_without_what_a_session_has(
    seen: list[list[Any]],
) -> None:
    environ = {"DOCKERD_ROOTLESS_ROOTLESSKIT_NET": "vpnkit", "PATH": "/bin", "XDG_SESSION_ID": "3",
               "HOME": "/home/u", "LD_PRELOAD": "/tmp/x.so"}  # fmt: skip
    guest_settings.variables("unit u\t", "the user's systemd", environ)
    assert [(text, odd) for _, text, odd, _ in seen] == [
        ("the user's systemd has DOCKERD_ROOTLESS_ROOTLESSKIT_NET=vpnkit", True),
        ("the user's systemd has LD_PRELOAD=/tmp/x.so", True),
        ("the user's systemd has PATH=/bin", False),
    ]


def test_where_a_link_leads_is_noted(tmp_path: Path, seen: list[list[Any]]) -> None:
    (tmp_path / "docker").symlink_to("/srv")
    permissions([str(tmp_path / "docker")])
    assert seen[0][1] == f"{tmp_path}/docker leads to /srv"
    assert seen[1][1].startswith(f"the directory {tmp_path}/docker of root")


MOUNTS = """sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0
cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime 0 0
securityfs /sys/kernel/security securityfs rw,nosuid,nodev,noexec,relatime 0 0
systemd-1 /proc/sys/fs/binfmt_misc autofs rw,fd=29,pgrp=1,pipe_ino=1234,direct 0 0
tmpfs /run tmpfs rw,nosuid,nodev,noexec,relatime,size=201580k,mode=755 0 0
ramfs /run/credentials/systemd-sysctl.service ramfs ro,nosuid,nodev,noexec,mode=700 0 0
overlay /var/lib/docker/overlay2/5bd1/merged overlay rw,relatime 0 0
udev /proc/kcore devtmpfs rw,nosuid,relatime,mode=755 0 0
"""


def test_every_mount_is_noted_that_stays(seen: list[list[Any]]) -> None:
    mounts(MOUNTS)
    told = {text.partition(" ")[0]: (text, odd) for _, text, odd, _ in seen}
    assert list(told) == ["/sys", "/sys/fs/cgroup", "/sys/kernel/security", "/run", "/proc/kcore"]
    assert told["/run"] == ("/run is mounted rw,nosuid,nodev,noexec,relatime,mode=755", False)
    assert [where for where, (_, odd) in told.items() if odd] == ["/proc/kcore"]


def test_what_a_login_makes_of_units_is_no_configuration(
    tmp_path: Path, seen: list[list[Any]]
) -> None:
    transient = tmp_path / "run/systemd/transient"
    transient.mkdir(parents=True)
    for name in ("session-7.scope", "run-u12.service", "user-1000.slice"):
        (transient / name).write_text("[Slice]\n")
    files([str(transient)])
    assert [text for _, text, *_ in seen] == [f"{transient}/user-1000.slice: [Slice]"]
