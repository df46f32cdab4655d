"""Asking a web server, mistrusting its answers: every redirect is checked, nothing is decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
import urllib3

from harness.errors import TestbedError, UsageError
from harness.image.upstream import urls

REDIRECTS = 8
SMALL = 4 << 20  # bytes; a file of digests or a signature has fewer
TROUBLE = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
CHECK = "harness image check"


class Passing(TestbedError):
    """It may work a moment later."""


class Gone(TestbedError):
    """404 or 410: there is no such file (any more)."""


class WebPage(TestbedError):
    """Something for a browser, where a file was asked for."""


@dataclass
class Web:
    """Connections are kept between requests.  Times are in seconds; ``pause`` is the first of
    those between attempts, which double up to a minute."""

    connect: float = 15
    stall: float = 60  # without a byte
    attempts: int = 5
    pause: float = 1
    ca: str | bool = True  # a file of certificates, or those of the system's settings
    session: requests.Session = field(default_factory=requests.Session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        self.session.close()

    @contextmanager
    def ask(
        self, url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None,
        digest_pinned: bool = False,
    ) -> Iterator[requests.Response]:
        """The answer to one request, redirects followed; only 2xx and 416 come back."""
        place = url
        for _ in range(REDIRECTS + 1):
            answer = self._once(place, method, headers or {})
            try:
                if not answer.is_redirect:
                    _refuse_status(answer, url)
                    _refuse_page(answer, url)
                    yield answer
                    return
                place = _next(answer, place, digest_pinned)
            finally:
                answer.close()
        raise TestbedError(f"{url} redirects more than {REDIRECTS} times", command=CHECK)

    def small(self, url: str) -> bytes:
        """All of a small file, retried."""
        for attempt in self.retrying():
            with attempt, self.ask(url) as answer:
                body = b""
                try:
                    while more := answer.raw.read(1 << 16, decode_content=False):
                        body += more
                        if len(body) > SMALL:
                            raise UsageError(f"{url} has more than {SMALL >> 20} MiB: it is no"
                                             " file of digests", command=CHECK)
                except TROUBLE as exc:
                    raise Passing(f"{url} broke off: {reason(exc)}", command=CHECK) from exc
                if _is_page(body):
                    raise _page(url)
        return body

    def probe(self, url: str, *, digest_pinned: bool = False) -> int | None:
        """Ask whether there is such a file.  Its size, where the server tells."""
        for attempt in self.retrying():
            with attempt, self.ask(url, method="HEAD", digest_pinned=digest_pinned) as answer:
                length = answer.headers.get("content-length", "")
        return int(length) if length.isdecimal() else None

    def retrying(self) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing),
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=tenacity.wait_exponential(multiplier=self.pause, max=60),
            reraise=True,
        )

    def _once(self, url: str, method: str, headers: Mapping[str, str]) -> requests.Response:
        # A proxy is for the network; this machine is reached without one.
        self.session.trust_env = not urls.loopback(url)
        try:
            return self.session.request(
                method, url, stream=True, allow_redirects=False, verify=self.ca,
                timeout=(self.connect, self.stall),
                headers={"Accept-Encoding": "identity", **headers},
            )  # fmt: skip
        except requests.exceptions.SSLError as exc:
            raise TestbedError(
                f"{url}: the server's certificate is not accepted: {reason(exc)}",
                hint="behind a proxy that re-signs, name its certificates in REQUESTS_CA_BUNDLE",
            ) from exc
        except TROUBLE as exc:
            raise Passing(f"{url} does not answer: {reason(exc)}",
                          hint="is this machine online, and does it need a proxy (https_proxy)?",
                          command=CHECK) from exc  # fmt: skip


def _next(answer: requests.Response, place: str, digest_pinned: bool) -> str:
    """Where a redirect leads; it may not lead to a worse way, nor back to this machine."""
    target = urljoin(place, answer.headers["location"])
    refused = ""
    if urlsplit(place).scheme == "https" and urlsplit(target).scheme != "https":
        refused = "from https to something weaker"
    elif urls.loopback(target) and not urls.loopback(place):
        refused = "to this machine"
    else:
        try:
            urls.check(target, digest_pinned=digest_pinned)
        except ValueError as exc:
            refused = f"astray: {exc}"
    if refused:
        raise TestbedError(f"{place} redirects {refused} ({target!r}): refused",
                           hint="a proxy or a captive portal does this", command=CHECK)  # fmt: skip
    return target


def _refuse_status(answer: requests.Response, url: str) -> None:
    status = answer.status_code
    if status in (404, 410):
        raise Gone(f"{url} is gone: HTTP {status}",
                   hint="harness image check proposes another pin", command=CHECK)  # fmt: skip
    if status == 429 or status >= 500:
        raise Passing(f"{url} answers HTTP {status}", hint="try again later", command=CHECK)
    if status not in (200, 206, 416):
        raise TestbedError(f"{url} answers HTTP {status}", command=CHECK)


def _refuse_page(answer: requests.Response, url: str) -> None:
    if "html" in answer.headers.get("content-type", "").lower():
        raise _page(url)
    if (encoding := answer.headers.get("content-encoding", "identity")) != "identity":
        raise TestbedError(f"{url} is sent with Content-Encoding {encoding}: refused",
                           command=CHECK)  # fmt: skip


def _is_page(start: bytes) -> bool:
    return bool(re.match(rb"\s*(<!doctype html|<html)", start[:512], re.IGNORECASE))


def refuse_page(start: bytes, url: str) -> None:
    """Raise if a file begins as a web page does."""
    if _is_page(start):
        raise _page(url)


def _page(url: str) -> WebPage:
    return WebPage(
        f"{url} answers with a web page instead of the file",
        hint="log in to the network first, if it has a captive portal", command=CHECK,
    )  # fmt: skip


def reason(exc: BaseException) -> str:
    """The innermost cause in a few words: libraries wrap it three times."""
    while isinstance(inner := exc.__cause__ or exc.__context__, Exception):
        exc = inner
    if isinstance(exc, TimeoutError):
        return "timed out"
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return " ".join(str(text).split())
