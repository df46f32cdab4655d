"""The keys that are shipped, and those too old for Sequoia."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pysequoia
import pytest

from harness.errors import UsageError
from harness.image.upstream import catalogue, openpgp
from harness.image.upstream.schema import Key

# A key whose own signatures are SHA-1, made with "gpg --cert-digest-algo SHA1", and what it signed.
OLD = Path(__file__).parent / "old_key"
URL = "https://example.invalid/sums.gpg"


def named() -> list[Key]:
    keys = {each.key.fingerprint: each.key for each in catalogue.load_all().values() if each.key}
    return [keys[name] for name in sorted(keys)]


@pytest.fixture
def old() -> tuple[Key, pysequoia.Cert]:
    cert = pysequoia.Cert.from_file(str(OLD / "key.asc"))
    return Key(fingerprint=cert.fingerprint.upper(), owner="Old", obtain="ask"), cert


def said(name: str) -> bytes:
    return (OLD / name).read_bytes()


@pytest.mark.parametrize("key", named(), ids=lambda key: key.fingerprint)
def test_the_keys_of_the_catalogue_are_there(key: Key) -> None:
    if not key.shipped:
        with pytest.raises(UsageError, match="is not in"):
            openpgp.find(key)
        return
    assert not openpgp.find(key).is_revoked


def test_no_key_is_shipped_that_nothing_is_signed_with() -> None:
    there = {path.stem for path in openpgp.folder().glob("*.asc")}
    assert there == {key.fingerprint for key in named() if key.shipped}


def test_sequoia_refuses_an_old_key(old: tuple[Key, pysequoia.Cert]) -> None:
    signature = pysequoia.Sig.from_bytes(said("sums.gpg"))
    with pytest.raises(RuntimeError, match="no valid signatures"):
        pysequoia.verify(bytes=said("sums"), store=lambda _: [old[1]], signature=signature)


def test_what_an_old_key_signed(old: tuple[Key, pysequoia.Cert], tmp_path: Path) -> None:
    openpgp.detached(said("sums"), said("sums.gpg"), *old, URL)
    openpgp.detached(OLD / "sums", said("sums.gpg"), *old, URL)
    assert openpgp.clearsigned(said("sums.asc"), *old, URL) == said("sums")


@pytest.mark.parametrize(
    ("data", "signature", "why"),
    [
        (b"another\n", "sums.gpg", "gpgv says BADSIG"),
        (b"", "sums.gpg", "gpgv says BADSIG"),
        (said("sums"), "sums.sha1.gpg", "its digest is weaker than SHA-256"),
    ],
)
def test_what_it_did_not_sign(
    old: tuple[Key, pysequoia.Cert], data: bytes, signature: str, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        openpgp.detached(data, said(signature), *old, URL)


def test_a_message_with_other_words(old: tuple[Key, pysequoia.Cert]) -> None:
    with pytest.raises(UsageError, match="gpgv says BADSIG"):
        openpgp.clearsigned(said("sums.asc").replace(b"abab", b"baba", 1), *old, URL)
    around = b"other words\n" + said("sums.asc") + b"more words\n"
    assert openpgp.clearsigned(around, *old, URL) == said("sums")


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        # made in 2020, when the key was to be used for a year
        ("sums.expired-key.gpg", "gpgv says EXPKEYSIG: the key in images/keys has expired"),
        ("sums.expired-key.asc", "gpgv says EXPKEYSIG: the key in images/keys has expired"),
        # the same, to be believed for a day
        ("sums.expired.gpg", "gpgv says EXPSIG: it has expired"),
    ],
)
def test_what_has_expired(signature: str, why: str) -> None:
    cert = pysequoia.Cert.from_file(str(OLD / "expired.asc"))
    key = Key(fingerprint=cert.fingerprint.upper(), owner="Old", obtain="ask")
    check: Callable[[], object] = (
        partial(openpgp.clearsigned, said(signature), key, cert, URL)
        if signature.endswith(".asc")
        else partial(openpgp.detached, said("sums"), said(signature), key, cert, URL)
    )
    with pytest.raises(UsageError, match=why):
        check()


def test_what_another_signed(
    old: tuple[Key, pysequoia.Cert], stranger: pysequoia.Tsk, disk: bytes
) -> None:
    signature = pysequoia.sign(stranger.signer(), disk, mode=pysequoia.SignatureMode.DETACHED)
    with pytest.raises(UsageError, match="gpgv says ERRSIG"):
        openpgp.detached(disk, signature, *old, URL)


def test_what_is_no_file_is_no_key(old: tuple[Key, pysequoia.Cert], tmp_path: Path) -> None:
    (tmp_path / "1.asc").mkdir()
    os.mkfifo(tmp_path / "2.asc")  # would be waited for
    (tmp_path / "3.asc").write_bytes(said("key.asc"))
    assert openpgp.find(old[0], tmp_path).fingerprint.upper() == old[0].fingerprint
