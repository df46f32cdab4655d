"""Which URLs of the catalogue still answer, which pins have rotted, and what to pin instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import HarnessError
from harness.image.upstream import trust
from harness.image.upstream.answers import Gone
from harness.image.upstream.catalogue import Upstream
from harness.image.upstream.trust import Expected
from harness.image.upstream.web import Web


@dataclass(frozen=True)
class Finding:
    """``state``: ``answers``, ``gone`` (the server has no such file), ``changed`` (it is another
    file than the pinned one) or ``no answer``."""

    cell: str
    what: str  # pinned, mirror, latest, latest mirror, checksum or signature
    url: str
    state: str
    detail: str = ""


@dataclass(frozen=True)
class Report:
    cell: str
    findings: tuple[Finding, ...]
    proposal: str = ""  # TOML that can be pasted, with a comment that says how far to trust it

    @property
    def rotten(self) -> bool:
        return any(finding.state in ("gone", "changed") for finding in self.findings)

    @property
    def silent(self) -> bool:
        return all(finding.state == "no answer" for finding in self.findings)


def check(upstream: Upstream, web: Web, keys: Path | None = None) -> Report:
    """Ask for the head of every URL of an entry; for the digest of today, where a pin has
    rotted or is missing.  Downloads no image."""
    findings = tuple(_probe(upstream, web, what, url) for what, url in _urls(upstream))
    report = Report(upstream.cell, findings)
    pin = upstream.entry.pinned
    good = any(f.what in ("pinned", "mirror") and f.state == "answers" for f in findings)
    serves = any(f.what == "latest" and f.state == "answers" for f in findings)
    if serves and not (pin and good) and upstream.entry.latest:
        return replace(report, proposal=_propose(upstream, web, keys))
    return report


def _urls(upstream: Upstream) -> Iterator[tuple[str, str]]:
    entry = upstream.entry
    if entry.pinned:
        yield "pinned", entry.pinned.url
        yield from (("mirror", url) for url in entry.pinned.mirrors)
    if entry.latest:
        yield "latest", entry.latest.url
        yield from (("latest mirror", url) for url in entry.latest.mirrors)
        if entry.latest.checksum:
            yield "checksum", entry.latest.checksum.url
        if entry.latest.signature:
            yield "signature", entry.latest.signature.url


def _probe(upstream: Upstream, web: Web, what: str, url: str) -> Finding:
    pin = upstream.entry.pinned
    try:
        size = web.probe(url, digest_pinned=what in ("pinned", "mirror"))
    except Gone as exc:
        return Finding(upstream.cell, what, url, "gone", exc.what.rpartition(": ")[2])
    except HarnessError as exc:
        return Finding(upstream.cell, what, url, "no answer", exc.what.removeprefix(f"{url} "))
    if what in ("pinned", "mirror") and pin and pin.size and size and size != pin.size:
        return Finding(upstream.cell, what, url, "changed", f"{size} bytes, pinned {pin.size}")
    return Finding(upstream.cell, what, url, "answers", f"{size >> 20} MiB" if size else "")


def _propose(upstream: Upstream, web: Web, keys: Path | None) -> str:
    latest = upstream.entry.latest
    assert latest
    doubt = ""
    try:
        expected = trust.latest(upstream, web, "first-use", keys)
        if expected.verify:
            doubt = "unsigned: the signature is over the image, and the image was not fetched"
        elif expected.why == trust.UNSIGNED:
            doubt = "unsigned: the distro signs nothing here"
    except HarnessError as exc:
        expected, doubt = _unsigned(upstream, web), f"unsigned: {exc.what}"
    if not expected.digest:
        return (f"# {upstream.cell}: no digest is published; fetch with --trust first-use and pin"
                " the digest that is printed")  # fmt: skip
    url = latest.url
    if expected.name and "/" not in expected.name:
        url = f"{url.rpartition('/')[0]}/{expected.name}"
    lines = [f"# {upstream.cell} in {upstream.path.name}; {doubt or expected.why}"]
    if url == latest.url:
        lines.append("# the distro will replace this file: a dated URL of it lasts longer")
    lines += ["[image.pinned]", f"url = {json.dumps(url)}"]
    return "\n".join([*lines, f"digest = {json.dumps(expected.digest)}"])


def _unsigned(upstream: Upstream, web: Web) -> Expected:
    """What the checksum file says, for want of a key."""
    latest = upstream.entry.latest
    assert latest
    if not latest.checksum:
        return Expected("", "")
    try:
        return trust.unsigned(upstream, web)
    except HarnessError:
        return Expected("", "")
