"""What is read in the words of managers that this machine cannot run, and of apt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.errors import GuestRefusal, TestbedError
from harness.guest.session import CommandTimeout, Result
from harness.packages import install_anew
from harness.packages.apt import Apt
from harness.packages.common import Tool
from harness.packages.dnf import Tdnf, Yum, column, providers
from harness.packages.pacman import Pacman
from harness.packages.zypper import Zypper, required, rows


class Says:
    """A session in which every command ends like this."""

    user = "root"

    def __init__(self, status: int, stdout: str = "", stderr: str = "", hangs: bool = False):
        self.status, self.stdout, self.stderr, self.hangs = status, stdout, stderr, hangs
        self.ran: list[str] = []

    def run(
        self, *argv: str, input: str | bytes | None = None, env: Mapping[str, str] | None = None,
        timeout: float | None = None, check: bool = True,
    ) -> Result:  # fmt: skip
        self.ran.append(" ".join(argv))
        if self.hangs:
            raise CommandTimeout("it hangs", detail=self.stdout)
        return Result(argv, self.status, self.stdout, self.stderr, 0.1)

    def sh(
        self, script: str, *args: str, input: str | bytes | None = None,
        env: Mapping[str, str] | None = None, timeout: float | None = None, check: bool = True,
    ) -> Result:  # fmt: skip
        return Result((), 0, "process 7 (sleep)\n", "", 0.1)

    def read(self, path: str) -> str:
        raise AssertionError

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        (Apt, 100, "E: Failed to fetch http://m/x.deb  404  Not Found"),
        (Apt, 100, "E: Failed to fetch file:/x  Hash Sum mismatch"),
        (Apt, 100, "E: The repository 'http://m/debian trixie Release' does not have a Release "
                   "file."),
        (Apt, 100, "E: The repository 'http://m/debian sid Release' no longer has a Release file."),
        (Apt, 100, "E: Release file for http://m/InRelease is not valid yet (invalid for another "
                   "3h 2min 1s). Updates for this repository will not be applied."),
        (Apt, 100, "E: Release file for http://m/InRelease is expired (invalid since 3d 2h 1min)."),
        (Apt, 100, "E: You don't have enough free space in /var/cache/apt/archives/."),
        (Apt, 100, "E: Write error - write (28: No space left on device)"),
        (Apt, 100, "dpkg: error processing archive /var/cache/apt/archives/x.deb (--unpack):\n"
                   " cannot copy extracted data for './usr/bin/x' to '/usr/bin/x.dpkg-new': failed "
                   "to write (No space left on device)"),
        (Zypper, 8, "installing package x-1.x86_64 needs 12MB more space on the / filesystem"),
        (Yum, 1, "  installing package x-1.x86_64 needs 12MB on the / filesystem"),
        (Yum, 1, "Disk Requirements:\n  At least 5MB more space needed on the / filesystem."),
        (Pacman, 1, "error: Partition / too full: 51200 blocks needed, 99 blocks free\n"
                    "error: not enough free disk space"),
        (Yum, 1, "Error: Cannot find a valid baseurl for repo: base/7/x86_64"),
        (Yum, 1, "failure: repodata/repomd.xml: [Errno 256] No more mirrors to try."),
        (Tdnf, 1, "Error: Failed to synchronize cache for repo 'VMware Photon Linux 4.0'"),
    ],
)  # fmt: skip
def test_what_cannot_be_had(kind: type[Tool], status: int, text: str) -> None:
    with pytest.raises(TestbedError, match="could not get what it needs"):
        kind(Says(status, stderr=text))._do("install")


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        (Apt, 100, "E: Unable to locate package nonsense"),
        (Apt, 100, "E: Unable to correct problems, you have held broken packages."),
        (Apt, 100, "E: The repository 'http://m trixie InRelease' is not signed."),
        (Apt, 100, "fork/exec /proc/self/exe: no space left on device\ndpkg: error processing "
                   "package x (--configure):\n installed x package post-installation script "
                   "subprocess returned error exit status 1"),
        (Yum, 1, "Error: Nothing to do"),
        (Tdnf, 1, "Error(1011) : No matching packages"),
    ],
)  # fmt: skip
def test_a_no_is_a_refusal(kind: type[Tool], status: int, text: str) -> None:
    with pytest.raises(GuestRefusal, match=f"exited with {status}"):
        kind(Says(status, stderr=text))._do("install")


class Moved(Says):
    """A session on whose guest apt knows only what the archive no longer has, or *never* does."""

    def __init__(self, never: bool) -> None:
        super().__init__(0)
        self.never = never

    def run(self, *argv: str, **_: Any) -> Result:
        self.ran.append(argv[-1])
        stale = self.never or "update" not in self.ran
        gone = "E: Failed to fetch http://m/x.deb  404  Not Found"
        fails = stale and argv[-1] != "update"
        return Result(argv, 100 if fails else 0, "", gone if fails else "", 0.1)


def test_an_archive_that_moved_on_is_asked_anew() -> None:
    moved = Moved(never=False)
    install_anew(Apt(moved), "curl")
    assert moved.ran == ["curl", "update", "curl"]
    with pytest.raises(TestbedError):
        install_anew(Apt(Moved(never=True)), "curl")


def test_yum_that_passes_over_a_package_refuses() -> None:
    said = "No package nonsense available.\nInstalled:\n  bash\nComplete!\n"
    with pytest.raises(GuestRefusal):
        Yum(Says(0, said)).install("bash", "nonsense")
    assert Yum(Says(0, "Complete!\n")).install("bash").endswith("exit status 0")


@pytest.mark.parametrize(
    ("kind", "text", "who"),
    [
        (Apt, "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 "
              "(unattended-upgr)", r"process 812 \(unattended-upgr\)"),
        (Yum, "Another app is currently holding the yum lock; exiting as configured by "
              "exit_on_lock\n  The other application is: yum\n    State  : Sleeping, pid: 812",
         r"process 7 \(sleep\)"),
    ],
)  # fmt: skip
def test_a_lock(kind: type[Tool], text: str, who: str) -> None:
    session = Says(1, stderr=text)
    with pytest.raises(TestbedError, match=f"locked by {who}"):
        kind(session, patience=0)._do("install")
    assert session.ran


def test_one_that_waits_for_ever() -> None:
    said = "waiting for tdnf_instance lock on /var/run/.tdnf-instance-lockfile\n"
    with pytest.raises(TestbedError, match=r"locked by process 7 \(sleep\)"):
        Tdnf(Says(0, said, hangs=True)).install("bash")
    with pytest.raises(TestbedError, match="did not end"):
        Tdnf(Says(0, "", hangs=True)).install("bash")


def test_a_package_with_a_version() -> None:
    session = Says(0)
    Yum(session).install("docker-ce=26.1.4-1.el7")
    assert session.ran[-1].endswith("install docker-ce-26.1.4-1.el7")


def test_listings() -> None:
    text = "Available Packages\ndocker-ce.x86_64   3:26.1.3-1.el7   stable\n" \
           "docker-ce.x86_64   3:26.1.4-1.el7   stable\n" \
           "docker-ce-cli.x86_64   1:26.1.4-1.el7   stable\n"  # fmt: skip
    assert column(text, "docker-ce") == ["3:26.1.3-1.el7", "3:26.1.4-1.el7"]
    deps = "package: docker-ce.x86_64 3:26\n  dependency: iptables\n" \
           "   provider: iptables.x86_64 1.4.21-35.el7\n"  # fmt: skip
    assert providers(deps) == {"iptables"}
    assert required("Requires       : [2]\n    a\n    b >= 2\nSuggests : ---\n") == {"a", "b"}
    assert required("Requires       : ---\n") == frozenset()
    assert required("Name : x\n") == frozenset()
    assert rows("S | Name\n--+-----\n  | docker\n") == [["", "docker"]]
