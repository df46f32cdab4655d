"""Which URLs of the catalogue still answer, which pins have rotted, and what to pin instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from harness.errors import HarnessError, UsageError
from harness.image.upstream import checksums, trust, urls
from harness.image.upstream.answers import Gone, Refused, WebPage
from harness.image.upstream.catalogue import Upstream
from harness.image.upstream.openpgp import NoKey
from harness.image.upstream.web import Web

STATES: dict[type[HarnessError], str] = {Refused: "refused", WebPage: "a page"}


@dataclass(frozen=True)
class Finding:
    """``state``: ``answers``, ``gone`` (the server has no such file), ``changed`` (it is another
    file than the pinned one), ``refused`` (the server will not give it), ``a page`` (for a browser,
    in its place), ``wrong`` (what vouches for the image does not) or ``no answer``."""

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
        return any(finding.state not in ("answers", "no answer") for finding in self.findings)

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
    if not serves or (pin and good):
        return report
    try:
        return replace(report, proposal=_propose(upstream, web, keys))
    except HarnessError as exc:
        report = replace(report, proposal=f"# {upstream.cell}: no digest to pin: {exc.what}")
        wrong = isinstance(exc, UsageError) and not isinstance(exc, NoKey)
        return _wrong(report, exc.what) if wrong else report


def _wrong(report: Report, why: str) -> Report:
    """With what was looked at told as wrong: the signature, or for want of one the checksum."""
    last = report.findings[-1]
    return replace(report, findings=(
        *report.findings[:-1], replace(last, state="wrong", detail=why),
    ))  # fmt: skip


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
        state = STATES.get(type(exc), "no answer")
        return Finding(upstream.cell, what, url, state, exc.what.removeprefix(f"{url} "))
    if what in ("pinned", "mirror") and pin and pin.size and size and size != pin.size:
        return Finding(upstream.cell, what, url, "changed", f"{size} bytes, pinned {pin.size}")
    if what == "pinned" and (other := _told_otherwise(upstream, web)):
        return Finding(upstream.cell, what, url, "changed", f"the distro tells {other[:19]}… of it")
    return Finding(upstream.cell, what, url, "answers", f"{size >> 20} MiB" if size else "")


def _told_otherwise(upstream: Upstream, web: Web) -> str:
    """The digest that the distro tells of the pinned URL today, if it is not the pinned one.  Only
    a file of digests that speaks of that URL is asked; what else is amiss with it is told of it."""
    pin, latest = upstream.entry.pinned, upstream.entry.latest
    if not (pin and latest and latest.checksum):
        return ""
    folder, name = pin.url.rpartition("/")[0], urls.name(pin.url)
    if pin.url != latest.url and folder != latest.checksum.url.rpartition("/")[0]:
        return ""
    try:
        text = web.small(latest.checksum.url).decode("utf-8", "replace")
        if pin.url == latest.url:
            name, _ = checksums.find(text, latest.checksum.name or name)
    except (HarnessError, ValueError):
        return ""
    kind = pin.digest.partition(":")[0]
    told = [digest for one, digest in checksums.entries(text)
            if one == name and digest.startswith(f"{kind}:")]  # fmt: skip
    return told[0] if told and pin.digest not in told else ""


def _propose(upstream: Upstream, web: Web, keys: Path | None) -> str:
    """Raises UsageError where what vouches for the image is wrong, and of that NoKey where the
    key alone could tell; TestbedError where a server does not answer."""
    latest = upstream.entry.latest
    assert latest
    doubt = ""
    try:
        expected = trust.latest(upstream, web, "first-use", keys)
        if expected.verify:
            doubt = "unsigned: the signature is over the image, and the image was not fetched"
        elif expected.why == trust.UNSIGNED:
            doubt = "unsigned: the distro signs nothing here"
    except NoKey as exc:
        if not latest.checksum:
            raise
        expected, doubt = trust.unsigned(upstream, web), f"unsigned: {exc.what}"
    if not expected.digest:
        how = "" if expected.verify else " with --trust first-use"
        return (f"# {upstream.cell}: no digest is published; fetch{how} and pin the digest that is"
                " printed")  # fmt: skip
    url = latest.url
    if expected.name and "/" not in expected.name:
        url = f"{url.rpartition('/')[0]}/{quote(expected.name, safe='+')}"
    lines = [f"# {upstream.cell} in {upstream.path.name}; {doubt or expected.why}"]
    if url == latest.url:
        lines.append("# the distro will replace this file: a dated URL of it lasts longer")
    lines += ["[image.pinned]", f"url = {json.dumps(url)}"]
    return "\n".join([*lines, f"digest = {json.dumps(expected.digest)}"])
