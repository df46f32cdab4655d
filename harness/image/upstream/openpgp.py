"""Signatures, through Sequoia.  A key counts by its full fingerprint, never by a name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pysequoia

from harness import paths
from harness.errors import UsageError
from harness.image.upstream.schema import Key

SUFFIXES = (".asc", ".gpg", ".pgp", ".key")
CLEARSIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----"


def folder() -> Path:
    return paths.project() / "images" / "keys"


def find(key: Key, where: Path | None = None) -> pysequoia.Cert:
    """The key with that fingerprint, from whichever file of the key directory holds it."""
    where = where or folder()
    others: list[str] = []
    for path in sorted(p for p in where.glob("*") if p.suffix in SUFFIXES):
        for cert in _read(path):
            if cert.fingerprint.upper() == key.fingerprint:
                return cert
            others.append(f"{path.name} holds {cert.fingerprint.upper()}")
    seen = f" ({'; '.join(others)})" if others else ""
    raise UsageError(
        f"the key {key.fingerprint} of {key.owner} is not in {where}{seen}",
        hint=f"{key.obtain}; put it there as a file ending in .asc or .gpg",
        command=f"gpg --export --armor {key.fingerprint} > {where / key.fingerprint}.asc",
    )


def detached(
    data: Path | bytes, signature: bytes, key: Key, cert: pysequoia.Cert, url: str
) -> None:
    """Raise unless ``signature`` (from ``url``) is the key's over the file or the bytes."""
    try:
        sig = pysequoia.Sig.from_bytes(signature)
    except Exception as exc:  # the library raises nothing narrower
        raise _bad(url, key, f"it is no signature: {_first_line(exc)}") from None
    try:
        if isinstance(data, bytes):
            result = pysequoia.verify(bytes=data, store=lambda ids: [cert], signature=sig)
        else:
            result = pysequoia.verify(file=data, store=lambda ids: [cert], signature=sig)
    except Exception as exc:
        raise _bad(url, key, _why(exc, cert)) from None
    _check_signer(result, key, url)


def clearsigned(message: bytes, key: Key, cert: pysequoia.Cert, url: str) -> bytes:
    """What the key has signed of the message, and nothing that stands around it."""
    if CLEARSIGNED not in message:
        raise _bad(url, key, "it is not a clearsigned file")
    try:
        result = pysequoia.verify(bytes=message, store=lambda ids: [cert])
    except Exception as exc:
        raise _bad(url, key, _why(exc, cert)) from None
    _check_signer(result, key, url)
    return result.bytes or b""


def _check_signer(result: pysequoia.Decrypted, key: Key, url: str) -> None:
    for signature in result.valid_sigs:
        if signature.certificate.upper() != key.fingerprint:
            continue
        if not key.signing or signature.signing_key.upper() == key.signing:
            return
        raise _bad(url, key, f"it was made by the subkey {signature.signing_key.upper()},"
                             f" and the catalogue names {key.signing}")  # fmt: skip
    raise _bad(url, key, "it was made by another key")


def _read(path: Path) -> list[pysequoia.Cert]:
    try:
        return pysequoia.Cert.split_bytes(path.read_bytes())
    except OSError as exc:
        raise UsageError(f"{path}: {exc.strerror}") from None
    except Exception as exc:
        raise UsageError(f"{path} is no OpenPGP key: {_first_line(exc)}",
                         hint="remove it, or put the key in its place") from None  # fmt: skip


def _bad(url: str, key: Key, why: str) -> UsageError:
    return UsageError(
        f"the signature {url} is not a valid one of {key.fingerprint} ({key.owner}): {why}",
        hint="do not use the image; if the distro has a new key, the catalogue must name it",
        command="harness image check",
    )


def _why(exc: BaseException, cert: pysequoia.Cert) -> str:
    """The library says no more than that nothing is valid."""
    if cert.is_revoked:
        return "the key in images/keys is revoked"
    if cert.expiration and cert.expiration <= datetime.now(UTC):
        return f"the key in images/keys expired on {cert.expiration:%Y-%m-%d}"
    return _first_line(exc)


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0].rstrip(".")
