from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pycdlib

from harness.image.seed import meta_data, seed_iso, user_data

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
    assert tester == {"name": "tester", "uid": 1000, "shell": "/bin/bash", "lock_passwd": True}


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
