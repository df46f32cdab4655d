from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pycdlib
import pytest

from harness.image.seed import meta_data, seed_iso, user_data
from tests.unit.packages.local import AS_ROOT

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"


def parsed(text: str) -> dict[str, Any]:
    first, rest = text.split("\n", 1)
    assert first == "#cloud-config"
    config: dict[str, Any] = json.loads(rest)
    return config


def config() -> dict[str, Any]:
    return parsed(user_data(
        host_key=KEY,
        host_public="ssh-ed25519 AAAA host\n",
        user_ca="ssh-ed25519 BBBB ca\n",
        files={"/etc/motd": "ünïcode: \"quoted\"\n"},
    ))


def test_the_guest_gets_its_keys() -> None:
    assert config()["ssh_keys"] == {
        "ed25519_private": KEY,
        "ed25519_public": "ssh-ed25519 AAAA host",
    }
    files = {file["path"]: file["content"] for file in config()["write_files"]}
    assert files["/etc/ssh/harness_ca.pub"] == "ssh-ed25519 BBBB ca\n"
    assert files["/etc/motd"] == "ünïcode: \"quoted\"\n"
    sshd = files["/etc/ssh/sshd_config.d/00-harness.conf"].splitlines()
    assert "TrustedUserCAKeys /etc/ssh/harness_ca.pub" in sshd
    assert "PermitRootLogin prohibit-password" in sshd


def test_the_ordinary_user_is_ordinary() -> None:
    root, tester = config()["users"]
    assert root["name"] == "root"
    assert tester.pop("ssh_authorized_keys")
    assert tester == {"name": "tester", "uid": 1000, "shell": "/bin/bash", "lock_passwd": True}


def test_an_sshd_that_reads_no_drop_in_is_told_of_the_authority_too() -> None:
    for user in config()["users"]:
        assert user["ssh_authorized_keys"] == ["cert-authority ssh-ed25519 BBBB ca"], user["name"]


def test_a_password_that_has_expired_does_not_keep_root_out(tmp_path: Path) -> None:
    """The command, run on files such as an image may have."""
    (tmp_path / "etc/pam.d").mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc/shadow").write_text("root:!:0:0:90:7:::\n")
    command, _ = config()["bootcmd"]
    there = [*command[:-1], "--root", str(tmp_path), command[-1]]
    subprocess.run([*AS_ROOT, *there], check=True)
    assert (tmp_path / "etc/shadow").read_text() == "root:!::0::7:::\n"


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        ("UsePAM yes\nPermitRootLogin no\nMaxAuthTries 4\n",
         "UsePAM yes\nPermitRootLogin prohibit-password\nMaxAuthTries 4\n"),
        ("  permitrootlogin\tyes # all\n", "PermitRootLogin prohibit-password\n"),
        ("#PermitRootLogin no\nPermitRootX no\n", "#PermitRootLogin no\nPermitRootX no\n"),
        (None, None),
    ],
)
def test_an_sshd_that_shuts_root_out_lets_it_in(
    said: str | None, becomes: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "sshd_config"
    if said is not None:
        file.write_text(said)
    before = file.stat().st_ino if said else 0
    _, (*shell, script) = config()["bootcmd"]
    subprocess.run([*shell, script.replace("/etc/ssh/sshd_config", str(file))], check=True)
    assert (file.read_text() if file.exists() else None) == becomes
    if said and said == becomes:  # what says nothing of it is not touched
        assert file.stat().st_ino == before


def test_the_iso_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "seed.iso"
    seed_iso(path, "#cloud-config\n{}\n", meta_data("i-1"))
    iso = pycdlib.PyCdlib()
    iso.open(str(path))
    try:
        assert iso.pvd.volume_identifier.rstrip() == b"cidata"
        for names in ("rr_path", "joliet_path"):
            texts = []
            for name in ("/user-data", "/meta-data"):
                out = io.BytesIO()
                iso.get_file_from_iso_fp(out, **{names: name})
                texts.append(out.getvalue().decode())
            assert texts[0] == "#cloud-config\n{}\n"
            assert json.loads(texts[1]) == {"instance-id": "i-1", "local-hostname": "harness"}
    finally:
        iso.close()
