"""SSH keys.  The client's is made per run; a certificate lets saved guests accept it.

A saved guest outlives the run that made it, so it cannot hold the next run's key.  It trusts an
authority instead, whose private key stays in the cache directory (mode 0600), and each run signs
its own key with it.  Host keys are made here and put in the guest's seed: they are known, and
pinned, before the first connection.
"""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import SSHCertificateBuilder, SSHCertificateType
from filelock import FileLock

from harness.errors import TestbedError

# That a run's certificate is good for: a key left lying about opens no guest for ever, but any run
# and whoever looks at the guest that it kept have the time they need.
LIFETIME_DAYS = 30


@dataclass(frozen=True)
class HostKey:
    """The identity of a guest: private PEM for its seed, public line for pinning."""

    private: str
    public: str


def new_host_key() -> HostKey:
    key = Ed25519PrivateKey.generate()
    return HostKey(_private_pem(key).decode(), _public_line(key))


def authority(directory: Path) -> Ed25519PrivateKey:
    """The authority's key in *directory*, made at the first call.  Raises :class:`TestbedError`
    where the file is damaged."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "authority"
    with FileLock(directory / ".lock"):
        if not path.exists():
            temporary = directory / f"authority.{os.getpid()}"
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(_private_pem(Ed25519PrivateKey.generate()))
                file.flush()
                os.fsync(file.fileno())  # or it may be empty after a loss of power
            temporary.replace(path)
        try:
            key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise TestbedError(
            f"{path} is no key of Ed25519, and guests trust no other",
            hint="remove it, and the saved states, which trust what it was",
            command=f"rm {shlex.quote(str(path))} && harness cache clear --states",
        )
    return key


def authority_line(directory: Path) -> str:
    """The authority's public key, as guests are told to trust it."""
    return _public_line(authority(directory))


@dataclass(frozen=True)
class Identity:
    """A run's key and its certificate.  ``path`` holds both for ``ssh -i`` when it is written."""

    private: str
    certificate: str

    def pkey(self) -> paramiko.PKey:
        from io import StringIO

        key = paramiko.Ed25519Key.from_private_key(StringIO(self.private))
        key.load_certificate(self.certificate)
        return key

    def write(self, path: Path) -> None:
        """Write the key and, beside it, the certificate, for an OpenSSH client."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.private)
        path.with_name(path.name + "-cert.pub").write_text(self.certificate + "\n")


def new_identity(directory: Path, principals: list[str]) -> Identity:
    """A fresh key signed by the authority of *directory* for the named guest users.

    It is valid from the epoch on: a restored guest believes it is still the day it was saved
    until it is told the time.
    """
    key = Ed25519PrivateKey.generate()
    builder = (
        SSHCertificateBuilder()
        .public_key(key.public_key())
        .serial(0)
        .type(SSHCertificateType.USER)
        .key_id(b"rootless-harness")
        .valid_principals([name.encode() for name in principals])
        .valid_after(0)
        .valid_before(int(time.time()) + LIFETIME_DAYS * 86_400)
        .add_extension(b"permit-pty", b"")
        .add_extension(b"permit-port-forwarding", b"")
    )
    certificate = builder.sign(authority(directory)).public_bytes().decode()
    return Identity(_private_pem(key).decode(), certificate)


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def _public_line(key: Ed25519PrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode()
    )
