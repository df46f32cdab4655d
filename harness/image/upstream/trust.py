"""Why a downloaded file is believed: a digest of the catalogue, or the distro's signature.

A pinned digest is the anchor.  For what a distro serves today it is a signature by the key that
the catalogue names by its full fingerprint; where a distro signs nothing, a person decides, by
``--trust``, and the record of the image says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import TestbedError, UsageError
from harness.image.upstream import checksums, openpgp, urls
from harness.image.upstream.catalogue import Upstream
from harness.image.upstream.schema import Key, Latest, Signature
from harness.image.upstream.web import Web

LEVELS = ("signature", "checksum", "first-use")  # each accepts what those before it accept

PINNED = "pinned digest"
UNSIGNED = "unsigned checksum"


@dataclass(frozen=True)
class Expected:
    """``digest`` is empty if none is known; ``verify`` looks at the whole file besides.
    ``name`` is what the file of digests calls the image."""

    digest: str
    why: str
    name: str = ""
    verify: Callable[[Path], None] | None = None


def pinned(upstream: Upstream) -> Expected:
    assert upstream.entry.pinned
    return Expected(upstream.entry.pinned.digest, PINNED)


def latest(upstream: Upstream, web: Web, level: str, keys: Path | None = None) -> Expected:
    """What the distro says of the file that it serves now.  Raises UsageError if that is not
    enough for ``level``, and for a signature that is not right, whatever the level."""
    latest = upstream.entry.latest
    assert latest
    if latest.signature and upstream.key:
        return _signed(upstream, latest, latest.signature, upstream.key, web, keys)
    allowed = LEVELS[: LEVELS.index(level) + 1]
    if latest.checksum:
        if "checksum" not in allowed:
            raise _not_enough(upstream, "signs neither this image nor its checksum", "checksum")
        return unsigned(upstream, web)
    if "first-use" not in allowed:
        raise _not_enough(upstream, "publishes no checksum of this image", "first-use")
    return Expected("", "first use")


def unsigned(upstream: Upstream, web: Web) -> Expected:
    """What the file of digests says, whoever wrote it."""
    latest = upstream.entry.latest
    assert latest
    assert latest.checksum
    text = web.small(latest.checksum.url)
    name, digest = _find(upstream, latest, text, latest.checksum.url)
    return Expected(digest, UNSIGNED, name)


def _signed(
    upstream: Upstream, latest: Latest, signature: Signature, key: Key, web: Web,
    keys: Path | None,
) -> Expected:  # fmt: skip
    cert = openpgp.find(key, keys)
    why = f"signed by {key.fingerprint}"
    sig = web.small(signature.url)
    if signature.form == "clearsigned":
        text = openpgp.clearsigned(sig, key, cert, signature.url)
        name, digest = _find(upstream, latest, text, signature.url)
        return Expected(digest, why, name)
    if signature.over == "checksum":
        assert latest.checksum
        text = web.small(latest.checksum.url)
        openpgp.detached(text, sig, key, cert, signature.url)
        name, digest = _find(upstream, latest, text, latest.checksum.url)
        return Expected(digest, why, name)
    # The signature is over the image; the checksum, if any, tells sooner of a broken download.
    name = digest = ""
    if latest.checksum:
        text = web.small(latest.checksum.url)
        name, digest = _find(upstream, latest, text, latest.checksum.url)

    def verify(path: Path) -> None:
        openpgp.detached(path, sig, key, cert, signature.url)

    return Expected(digest, why, name, verify)


def _find(upstream: Upstream, latest: Latest, text: bytes, url: str) -> tuple[str, str]:
    checksum = latest.checksum
    pattern = checksum.name if checksum and checksum.name else urls.name(latest.url)
    try:
        return checksums.find(text.decode("utf-8", "replace"), pattern)
    except ValueError as exc:
        hint = f"has the distro renamed its files? the pattern is in {upstream.path}"
        if isinstance(exc, checksums.Contradiction):
            hint = "the file of digests is wrong: try again later, or report it to the distro"
        raise TestbedError(
            f"{upstream.cell}: {url} {exc}",
            hint=hint,
            command=f"harness image check {upstream.cell}",
        ) from None


def _not_enough(upstream: Upstream, what: str, level: str) -> UsageError:
    return UsageError(
        f"{upstream.cell}: the distro {what}, so that whoever answers for its server could send"
        " anything",
        hint=f"pin a digest that you trust in {upstream.path}, or accept it this once",
        command=f"harness image fetch {upstream.cell} --trust {level}",
    )
