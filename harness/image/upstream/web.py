"""Asking a web server, mistrusting its answers: every redirect is checked, nothing is decoded."""

from __future__ import annotations

import time
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
from harness.image.upstream.answers import (
    CHECK,
    LONGEST,
    Passing,
    Refused,
    is_page,
    page,
    reason,
    refuse_header,
    refuse_status,
    whole,
)
from harness.image.upstream.patience import Adapter, Session, read

REDIRECTS = 8
SMALL = 4 << 20  # bytes; a file of digests or a signature has fewer
UNKNOWN_METHOD = (405, 501)
TROUBLE = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


@dataclass
class Web:
    """Connections are kept between requests.  Times are in seconds; ``pause`` is the first of
    those between attempts, which double up to a minute."""

    connect: float = 15
    stall: float = 60  # without a byte
    attempts: int = 5
    pause: float = 1
    ca: str | bool = True  # a file of certificates, or those of the system's settings
    session: requests.Session = field(default_factory=Session)

    def __post_init__(self) -> None:
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, Adapter(self.stall))

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
                    refuse_status(answer, url)
                    refuse_header(answer, url)
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
                body, began = b"", time.monotonic()
                try:
                    while more := read(answer, 1 << 16, self.stall):
                        body += more
                        if len(body) > SMALL:
                            raise UsageError(f"{url} has more than {SMALL >> 20} MiB: it is no"
                                             " file of digests", command=CHECK)
                        if time.monotonic() - began > self.stall:
                            raise Passing(f"{url} stalls: {len(body)} bytes in {self.stall:.0f} s",
                                          command=CHECK)  # fmt: skip
                except TROUBLE as exc:
                    raise Passing(f"{url} broke off: {reason(exc)}", command=CHECK) from exc
                if is_page(body):
                    raise page(url)
        return body

    def probe(self, url: str, *, digest_pinned: bool = False) -> int | None:
        """Ask whether there is such a file.  Its size, where the server tells."""
        try:
            return self._size(url, "HEAD", {}, digest_pinned)
        except Refused as exc:
            if exc.status not in UNKNOWN_METHOD:
                raise
        return self._size(url, "GET", {"Range": "bytes=0-0"}, digest_pinned)

    def _size(
        self, url: str, method: str, headers: Mapping[str, str], digest_pinned: bool
    ) -> int | None:
        for attempt in self.retrying():
            with attempt, self.ask(
                url, method=method, headers=headers, digest_pinned=digest_pinned
            ) as answer:
                size = whole(answer)
        return size

    def retrying(self) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing),
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=self._pause,
            reraise=True,
        )

    def _pause(self, state: tenacity.RetryCallState) -> float:
        why = state.outcome.exception() if state.outcome else None
        asked = why.after if isinstance(why, Passing) else 0
        own = tenacity.wait_exponential(multiplier=self.pause, max=LONGEST)(state)
        return max(own, asked)

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
    target, refused = answer.headers["location"], ""
    try:
        target = urljoin(place, target)
        if urlsplit(place).scheme == "https" and urlsplit(target).scheme != "https":
            refused = "from https to something weaker"
        elif urls.nearby(target) and not urls.loopback(place):
            refused = "to this machine or its cable"
        else:
            urls.check(target, digest_pinned=digest_pinned)
    except ValueError as exc:
        refused = f"astray: {exc}"
    if refused:
        raise TestbedError(f"{place} redirects {refused} ({target!r}): refused",
                           hint="a proxy or a captive portal does this", command=CHECK)  # fmt: skip
    return target
