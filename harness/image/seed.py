"""The seed: a small ISO from which cloud-init in a guest learns its keys and users (NoCloud)."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pycdlib

USER = "tester"
_SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
TrustedUserCAKeys /etc/ssh/harness_ca.pub
PermitRootLogin prohibit-password
UseDNS no
PrintLastLog no
MaxSessions 100
MaxStartups 100
ClientAliveInterval 0
"""
# Photon's own file shuts root out, and includes no other.  cloud-init does this before sshd starts.
_ROOT = """\
! grep -Eiqs '^[[:space:]]*PermitRootLogin[[:space:]]' /etc/ssh/sshd_config ||
    sed -Ei 's/^[[:space:]]*PermitRootLogin[[:space:]].*/PermitRootLogin prohibit-password/I' \
        /etc/ssh/sshd_config
"""


def user_data(
    *,
    host_key: str,
    host_public: str,
    user_ca: str,
    user: str = USER,
    files: Mapping[str, str] | None = None,
) -> str:
    """The cloud-config of a guest with root and one ordinary user without sudo.

    ``host_key`` is an OpenSSH PEM of an ed25519 key; ``host_public`` and ``user_ca`` are public
    key lines.  Whoever has a certificate of that CA may log in.  ``files`` maps paths to contents.
    """
    # Once more for each user: sshd reads no sshd_config.d where its own file does not include it,
    # and OpenSSH before 8.2 cannot.
    trusted = {"ssh_authorized_keys": [f"cert-authority {user_ca.strip()}"]}
    written = {
        "/etc/ssh/harness_ca.pub": user_ca.rstrip("\n") + "\n",
        "/etc/ssh/sshd_config.d/00-harness.conf": _SSHD,
        **(files or {}),
    }
    config: dict[str, Any] = {
        "disable_root": False,
        "ssh_deletekeys": True,
        "ssh_genkeytypes": ["ed25519"],
        "ssh_keys": {"ed25519_private": host_key, "ed25519_public": host_public.strip()},
        "users": [
            {"name": "root", "lock_passwd": True, **trusted},
            {"name": user, "uid": 1000, "shell": "/bin/bash", "lock_passwd": True, **trusted},
        ],
        "bootcmd": [
            # Photon's root has to change its password first, and until then no key opens anything.
            ["chage", "--lastday", "-1", "--maxdays", "-1", "root"],
            ["sh", "-c", _ROOT],
        ],
        "write_files": [{"path": path, "content": text} for path, text in written.items()],
    }
    return f"#cloud-config\n{json.dumps(config, indent=1)}\n"  # JSON is YAML


def meta_data(instance: str, hostname: str = "harness") -> str:
    return json.dumps({"instance-id": instance, "local-hostname": hostname}) + "\n"


def seed_iso(path: Path, user_data: str, meta_data: str) -> None:
    """Write the ISO; cloud-init looks for a volume called cidata."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for name, short, text in (
        ("user-data", "/USERDATA.;1", user_data),
        ("meta-data", "/METADATA.;1", meta_data),
    ):
        data = text.encode()
        iso.add_fp(io.BytesIO(data), len(data), short, rr_name=name, joliet_path=f"/{name}")
    iso.write(str(path))
    iso.close()
