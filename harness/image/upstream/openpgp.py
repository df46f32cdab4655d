"""Signatures, through Sequoia.  A key counts by its full fingerprint, never by a name.

Sequoia verifies nothing by a key whose own signatures are SHA-1, as those of Ubuntu's images and of
CentOS 7 are.  What they bind, names and subkeys, is nothing that the catalogue's fingerprint does
not say better: by such a key's primary, and by it alone, ``gpgv`` verifies.
"""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pysequoia

from harness import paths
from harness.errors import UsageError
from harness.image import process
from harness.image.upstream.schema import Key

SUFFIXES = (".asc", ".gpg", ".pgp", ".key")
STRONG = ("8", "9", "10", "11")  # SHA-2, as OpenPGP numbers digests
# What gpgv says beside VALIDSIG and its exit status of 0; doc/DETAILS of GnuPG.
ENDED = {
    "EXPKEYSIG": "the key in images/keys has expired",
    "EXPSIG": "it has expired",
    "REVKEYSIG": "the key in images/keys is revoked",
}
CLEARSIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----"


class NoKey(UsageError):
    """The key is not in the key directory: nothing is known of what it signed."""


def folder() -> Path:
    return paths.project() / "images" / "keys"


def find(key: Key, where: Path | None = None) -> pysequoia.Cert:
    """The key with that fingerprint, from whichever file of the key directory holds it.

    Raises :class:`NoKey` where none does.
    """
    where = where or folder()
    others: list[str] = []
    # A pipe would be waited for.
    for path in sorted(p for p in where.glob("*") if p.suffix in SUFFIXES and p.is_file()):
        for cert in _read(path):
            if cert.fingerprint.upper() == key.fingerprint:
                return cert
            if path.stem != cert.fingerprint.upper():
                others.append(f"{path.name} holds {cert.fingerprint.upper()}")
    seen = f" ({'; '.join(others)})" if others else ""
    raise NoKey(
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
    if _old(cert):
        _gpgv(data, signature, key, cert, url)
        return
    _check_alive(cert, key, url)
    try:
        if isinstance(data, bytes):
            result = pysequoia.verify(bytes=data, store=lambda ids: [cert], signature=sig)
        else:
            result = pysequoia.verify(file=data, store=lambda ids: [cert], signature=sig)
    except Exception as exc:
        raise _bad(url, key, _first_line(exc)) from None
    _check_signer(result, key, url)


def clearsigned(message: bytes, key: Key, cert: pysequoia.Cert, url: str) -> bytes:
    """What the key has signed of the message, and nothing that stands around it."""
    if CLEARSIGNED not in message:
        raise _bad(url, key, "it is not a clearsigned file")
    if _old(cert):
        return _gpgv(message, None, key, cert, url)
    _check_alive(cert, key, url)
    try:
        result = pysequoia.verify(bytes=message, store=lambda ids: [cert])
    except Exception as exc:
        raise _bad(url, key, _first_line(exc)) from None
    _check_signer(result, key, url)
    return result.bytes or b""


def _old(cert: pysequoia.Cert) -> bool:
    """Whether Sequoia takes none of the key's own signatures."""
    try:
        _ = cert.expiration
    except Exception:  # the library raises nothing narrower
        return True
    return False


def _gpgv(
    data: Path | bytes, signature: bytes | None, key: Key, cert: pysequoia.Cert, url: str
) -> bytes:
    """What is signed: of a clearsigned message, or nothing beside a detached *signature*."""
    if cert.is_revoked:
        raise _bad(url, key, ENDED["REVKEYSIG"])
    process.need("gpgv")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        keyring, text, signed = home / "keyring.gpg", home / "text", home / "signed"
        keyring.write_bytes(bytes(cert))
        if isinstance(data, bytes):
            signed.write_bytes(data)
            data = signed
        files = [str(data)]
        if signature is not None:
            (home / "signature").write_bytes(signature)
            files.insert(0, str(home / "signature"))
        done = subprocess.run(
            ["gpgv", "--homedir", name, "--keyring", str(keyring), "--status-fd", "1",
             "--output", str(text), "--", *files],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        lines = [line.split()[1:] for line in done.stdout.splitlines()]
        valid = [words for words in lines if words[:1] == ["VALIDSIG"]]
        told = [words[0] for words in lines if words[:1] and words[0].endswith("SIG")]
        told = [word for word in told if word not in ("NEWSIG", "VALIDSIG")]
        if done.returncode or len(valid) != 1 or told != ["GOODSIG"]:
            why = "".join(f": {ENDED[word]}" for word in told[:1] if word in ENDED)
            said = ", ".join(told) or "nothing of a signature"
            raise _bad(url, key, f"gpgv says {said}{why}")
        if valid[0][1] != key.fingerprint:
            raise _bad(url, key, f"it was made by the subkey {valid[0][1]}, and a key whose own"
                                 " signatures are SHA-1 counts by itself alone")  # fmt: skip
        if valid[0][8] not in STRONG:
            raise _bad(url, key, "its digest is weaker than SHA-256")
        return text.read_bytes() if signature is None else b""


def _check_alive(cert: pysequoia.Cert, key: Key, url: str) -> None:
    """Sequoia takes what a key signed before it expired; but who has such a key today can write
    any date."""
    if cert.is_revoked:
        raise _bad(url, key, ENDED["REVKEYSIG"])
    if cert.expiration and cert.expiration <= datetime.now(UTC):
        raise _bad(url, key, f"the key in images/keys expired on {cert.expiration:%Y-%m-%d}")


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
        raise UsageError(f"{path}: {exc.strerror}", hint="remove it, or let it be read") from None
    except Exception as exc:
        raise UsageError(f"{path} is no OpenPGP key: {_first_line(exc)}",
                         hint="remove it, or put the key in its place") from None  # fmt: skip


def _bad(url: str, key: Key, why: str) -> UsageError:
    return UsageError(
        f"the signature {url} is not a valid one of {key.fingerprint} ({key.owner}): {why}",
        hint="do not use the image; if the distro has a new key, the catalogue must name it",
        command="harness image check",
    )


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0].rstrip(".")
