"""The probe: reading what a real Debian 12 guest gave, and surviving broken machines."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from harness.errors import GuestRefusal, TestbedError
from harness.guest import guest_files, probe_parse, standstill
from harness.guest import probe as probing
from harness.guest.capabilities import mask_names, xattr_text
from harness.guest.facts import Facts, IdRange
from harness.guest.probe import script
from harness.guest.session import Session

RAW = json.loads(Path(__file__).with_name("probe_debian_12.json").read_text())


@pytest.fixture
def raw() -> Any:
    return copy.deepcopy(RAW)


def read(raw: Any) -> Facts:
    return probe_parse.facts("tester", raw["login"], raw["root"])


@dataclass(frozen=True)
class Answer:
    exit_status: int
    stdout: str = ""
    stderr: str = ""


@dataclass
class Local:
    """A session on this very machine, with the environment of a badly broken login."""

    env: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        *argv: str,
        input: str | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Answer:
        done = subprocess.run(
            [sys.executable, *argv[1:]],
            input=input,
            capture_output=True,
            text=True,
            env=dict(self.env),
            timeout=timeout,
            check=check,
        )
        return Answer(done.returncode, done.stdout, done.stderr)


@dataclass
class Canned:
    answer: Answer

    def run(
        self,
        *argv: str,
        input: str | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Answer:
        return self.answer


def probe(user: Local | Canned, root: Local | Canned, name: str, scale: float = 1.0) -> Facts:
    """All that the probe asks of a session is to run."""
    return probing.probe(cast(Session, user), cast(Session, root), name, scale)


def run_script(session: Canned, text: str) -> Any:
    return probing.run_script(cast(Session, session), text)


def test_debian_12_as_recorded(raw: Any) -> None:
    facts = read(raw)
    assert (facts.systemd, facts.cgroup, facts.delegated) == (252, "v2", ("cpu", "memory", "pids"))
    assert facts.slice_controllers == ("cpu", "memory", "pids")
    assert (facts.engine, facts.rootlesskit, facts.slirp4netns) == (
        "20.10.24+dfsg1",
        "1.1.0",
        "1.2.0",
    )
    assert facts.engine_version == (20, 10, 24)
    assert facts.slirp4netns_netns_type
    assert facts.iptables == "nft"
    assert facts.subuid == facts.subgid == (IdRange(100000, 65536),)
    assert facts.sysctls["net.ipv4.ping_group_range"] == "1 0"
    assert facts.sysctls["kernel.apparmor_restrict_unprivileged_userns"] is None
    assert facts.os_release["VERSION_ID"] == "12"
    assert facts.existing_driver_dirs == ("overlay2",)
    assert {"overlay", "unix", "ext4", "tun"} <= facts.modules
    assert facts.modules_blocked == frozenset()
    assert facts.ipv6
    assert facts.sh == "dash"
    assert facts.packages["uidmap"] == "1:4.13+dfsg1-1+deb12u2"
    assert "bash" not in facts.packages


def test_binaries_of_debian_12(raw: Any) -> None:
    binaries = read(raw).binaries
    newuidmap, ping, iptables = binaries["newuidmap"], binaries["ping"], binaries["iptables"]
    assert newuidmap
    assert ping
    assert iptables
    assert newuidmap.setuid_root
    assert newuidmap.package == "uidmap"
    assert ping.capabilities == "cap_net_raw=ep"
    assert ping.gains_privilege
    assert iptables.package == "iptables", "owned under the name its symlinks resolve to"
    assert binaries["pasta"] is None


def test_facts_survive_json(raw: Any) -> None:
    facts = read(raw)
    assert Facts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


def test_a_guest_that_lacks_everything(raw: Any) -> None:
    root = raw["root"]
    for name in ("os_release", "subuid", "subgid", "modules", "modules_builtin", "lsm"):
        root[name] = None
    for name in ("apparmor", "controllers", "slice_controllers", "daemon_json", "if_inet6"):
        root[name] = None
    root.update(cgroup_v2=False, systemd_running=False, commands={}, spellings={}, modules_sys=[])
    root["binaries"] = dict.fromkeys(root["binaries"])
    facts = read(raw)
    assert (facts.systemd, facts.cgroup, facts.delegated) == (0, "v1", ())
    assert (facts.engine, facts.iptables, facts.subuid_count) == ("", "", 0)
    assert facts.packages == {}
    assert facts.lsms == ()
    assert facts.modules_blocked == frozenset()
    assert facts.binary("newuidmap") is None


@pytest.mark.parametrize(
    ("status", "output"),
    [
        (1, "modprobe: FATAL: Module ip_tables not found in directory /lib/modules/6.1.0\n"),
        (0, "install /bin/false \n"),
    ],
)
def test_blocked_modules(raw: Any, status: int, output: str) -> None:
    raw["root"]["commands"]["modprobe ip_tables"] = [status, output]
    assert read(raw).modules_blocked == {"ip_tables"}


def test_no_modprobe_blocks_nothing(raw: Any) -> None:
    raw["root"]["commands"]["modprobe ip_tables"] = [127, ""]
    assert read(raw).modules_blocked == frozenset()


@pytest.mark.parametrize(
    ("text", "flavour"),
    [
        ("iptables v1.8.9 (nf_tables)\n", "nft"),
        ("iptables v1.8.7 (legacy)\n", "legacy"),
        ("iptables v1.4.21\n", "legacy"),
    ],
)
def test_iptables_flavour(raw: Any, text: str, flavour: str) -> None:
    raw["root"]["commands"]["iptables"] = [0, text]
    assert read(raw).iptables == flavour


def test_owners_by_rpm_and_pacman(raw: Any) -> None:
    commands, spellings = raw["root"]["commands"], {"/usr/bin/su": ["/usr/bin/su", "/bin/su"]}
    spellings["/usr/bin/nsenter"] = ["/usr/bin/nsenter", "/bin/nsenter"]
    raw["root"]["spellings"] = spellings
    del commands["owners dpkg"], commands["packages dpkg"]
    commands["owners rpm"] = [1, "file /usr/bin/su is not owned by any package\nutil-linux\n"]
    commands["packages rpm"] = [0, "shadow 4.8.1-5.ph4\nzlib 1.2-1\nlinux 5.10-1\n"]
    facts = read(raw)
    assert facts.packages == {"shadow": "4.8.1-5.ph4", "linux": "5.10-1"}
    su, nsenter = facts.binaries["su"], facts.binaries["nsenter"]
    assert su
    assert nsenter
    assert (su.package, nsenter.package) == ("", "util-linux")

    del commands["owners rpm"], commands["packages rpm"]
    commands["owners pacman"] = [0, "/usr/bin/su is owned by util-linux 2.40-1\n"]
    commands["packages pacman"] = [0, "docker 1:28.5.2-1\n"]
    facts = read(raw)
    su = facts.binaries["su"]
    assert su
    assert su.package == "util-linux"
    assert facts.packages == {"docker": "1:28.5.2-1"}


def test_removed_packages_do_not_count(raw: Any) -> None:
    raw["root"]["commands"]["packages dpkg"] = [0, "rc  docker.io 20.10\nhi  runc 1.1\n"]
    assert read(raw).packages == {"runc": "1.1"}


def test_id_ranges_skip_what_is_malformed() -> None:
    text = "tester:100000:65536\nother:1:2\n1000:300000:10\ntester:x:1\ntester:5\n\n"
    assert probe_parse.id_ranges(text, "tester", 1000) == (
        IdRange(100000, 65536),
        IdRange(300000, 10),
    )


def test_daemon_json() -> None:
    assert probe_parse.daemon_json(None) == probe_parse.daemon_json(" \n") == {}
    assert probe_parse.daemon_json('{"debug": true}') == {"debug": True}
    assert "Expecting" in probe_parse.daemon_json('{"debug": ')["__invalid__"]
    assert "__invalid__" in probe_parse.daemon_json("[1]")


def test_capability_text() -> None:
    assert xattr_text(bytes.fromhex("0100000200040000000000000000000000000000")) == (
        "cap_net_bind_service=ep"
    )
    assert xattr_text(bytes.fromhex("00000002c0000000000000000000000000000000")) == (
        "cap_setgid,cap_setuid=p"
    )
    assert xattr_text(bytes.fromhex("010000038000000000000000000000000000000000000100")[:24]) == (
        "cap_setuid=ep [rootid=65536]"
    )
    assert xattr_text(b"") == ""
    assert mask_names(1 << 10 | 1 << 63) == ("cap_net_bind_service", "cap_63")


def test_usrmerge_spellings() -> None:
    assert set(guest_files.spellings("/nonexistent/../bin/none")) >= {"/bin/none", "/usr/bin/none"}
    assert guest_files.spellings("/opt/none") == ["/opt/none"]


def test_scripts_run_where_everything_is_missing(tmp_path: Path) -> None:
    """The real scripts, here, with a PATH and a home that hold nothing."""
    env = {"PATH": "/nonexistent", "HOME": str(tmp_path)}
    facts = probe(Local(env), Local(env), "nobody-of-that-name")
    assert facts.uid == os.getuid()
    assert not facts.user_session
    assert facts.xdg_runtime_dir == ""
    assert facts.daemon_json == {}
    assert facts.subuid == ()
    assert list(tmp_path.iterdir()) == [], "the trial mount leaves nothing behind"


@dataclass
class Loaded(Local):
    """The same, of a guest that says these loads of itself, one after the other."""

    loads: list[str] = field(default_factory=list)

    def run(self, *argv: str, **how: Any) -> Answer:
        if argv == ("cat", "/proc/loadavg"):
            return Answer(0, f"{self.loads.pop(0)} 0.80 0.90 1/99 1234\n")
        return super().run(*argv, **how)


@pytest.mark.parametrize(
    ("loads", "error"),
    [("0.00 0.00", GuestRefusal), ("2.00 1.50", GuestRefusal), ("0.00 0.40", TestbedError),
     ("2.00 2.00", TestbedError)],
)  # fmt: skip
@pytest.mark.parametrize("name", ["systemctl", "slirp4netns"])
def test_a_command_that_does_not_end_is_no_fact(
    tmp_path: Path, name: str, loads: str, error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The real scripts: that of the user asks the one, that of root the other.  On a guest that
    idles it is the guest's."""
    monkeypatch.setattr(standstill.Stopwatch, "seconds", 20.0)
    hangs = tmp_path / name
    hangs.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    hangs.chmod(0o755)
    here = Loaded({"PATH": str(tmp_path), "HOME": str(tmp_path)}, loads.split())
    with pytest.raises(error, match=f"{name} .*did not end in time"):
        probe(here, here, "tester", scale=0.01)


def test_no_python_on_the_guest() -> None:
    with pytest.raises(TestbedError, match="no python3"):
        run_script(Canned(Answer(127, stderr="bash: python3: command not found")), "pass")


def test_a_script_that_fails_shows_its_last_words() -> None:
    with pytest.raises(TestbedError) as caught:
        run_script(Canned(Answer(1, stderr="ImportError: no json")), script("probe_login.py"))
    assert "ImportError: no json" in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [Answer(1, "This account is currently not available.\n"), Answer(127, "", "env: not found"),
     Answer(0, "Welcome!\nas it should\n")],
)  # fmt: skip
def test_logins_of_the_user_that_run_nothing_are_the_guests(answer: Answer) -> None:
    with pytest.raises(GuestRefusal, match="logins of tester do not run"):
        probe(Canned(answer), Local(), "tester")


@pytest.mark.parametrize("of_user", [Canned(Answer(127)), Canned(Answer(0, "as it should\n"))])
def test_without_a_control_it_is_the_test_bed(of_user: Canned) -> None:
    with pytest.raises(TestbedError):
        probe(of_user, Canned(Answer(127)), "tester")


def test_a_probe_that_fails_by_itself_is_the_test_beds() -> None:
    with pytest.raises(TestbedError, match="failed"):
        probe(Canned(Answer(0, "as it should\n")), Local(), "tester")


def test_an_engine_that_is_installed_but_does_not_run(raw: Any) -> None:
    raw["root"]["commands"]["dockerd"] = [2, "runtime: failed to create new OS thread"]
    assert read(raw).engine == "20.10.24+dfsg1"
    raw["root"]["binaries"]["dockerd"] = None
    assert read(raw).engine == ""
