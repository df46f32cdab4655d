"""What a server answered, and what it means: later, never, or that it is no file at all."""

from __future__ import annotations

import re

import requests

from harness.errors import TestbedError
from harness.image.upstream import urls
from harness.toml import shown

GZIP = ("gzip", "x-gzip")
LONGEST = 60.0  # seconds between attempts
CHECK = "harness image check"
RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")  # Content-Range: bytes 100-199/200


class Passing(TestbedError):
    """It may work a moment later: ``after`` seconds, where the server says so."""

    after = 0.0


class Gone(TestbedError):
    """404 or 410: there is no such file (any more)."""


class Refused(TestbedError):
    """The server will not, in ``status``: now, or by this method."""

    status = 0


class WebPage(TestbedError):
    """Something for a browser, where a file was asked for."""


def refuse_status(answer: requests.Response, url: str) -> None:
    status = answer.status_code
    if status in (404, 410):
        raise Gone(f"{url} is gone: HTTP {status}",
                   hint="harness image check proposes another pin", command=CHECK)  # fmt: skip
    if status == 429 or (status >= 500 and status != 501):
        raise _later(f"{url} answers HTTP {status}", answer.headers.get("retry-after", ""))
    if status not in (200, 206, 416):
        refused = Refused(f"{url} answers HTTP {status}", command=CHECK)
        refused.status = status
        raise refused


def _later(what: str, said: str) -> TestbedError:
    """*said* is what Retry-After says: seconds, or a date, which is not worth the clock."""
    after = float(said) if said.isdecimal() else 0.0
    if after > LONGEST:  # nobody sits and waits for that
        return TestbedError(f"{what}, and asks to come back in {after / 60:.0f} min",
                            hint="try again then", command=CHECK)  # fmt: skip
    passing = Passing(what, hint="try again later", command=CHECK)
    passing.after = after
    return passing


def refuse_header(answer: requests.Response, url: str) -> None:
    kind = answer.headers.get("content-type", "").lower()
    if "html" in kind and answer.status_code != 416:  # whose body says only that it is one
        raise page(url)
    encoding = answer.headers.get("content-encoding", "identity").lower()
    if encoding in GZIP and urls.name(url).endswith(".gz"):
        return  # Apache's AddEncoding says it of the file itself, which nobody decodes here
    if encoding != "identity":
        raise TestbedError(f"{url} is sent with Content-Encoding {shown(encoding)}: refused",
                           command=CHECK)  # fmt: skip


def length(answer: requests.Response) -> int | None:
    """Content-Length, where it is a number that a file can have."""
    said = answer.headers.get("content-length", "")
    return int(said) if re.fullmatch("[0-9]{1,18}", said) else None


def whole(answer: requests.Response) -> int | None:
    """Bytes of the file that the answer is of, or of a part of; None where that is not told."""
    if answer.status_code == 200:
        return length(answer)
    found = RANGE.fullmatch(answer.headers.get("content-range", ""))
    return int(found[3]) if found else None


def is_page(start: bytes) -> bool:
    """Whether a file begins as pages do, perhaps after a byte order mark and comments."""
    rest = start[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    while rest.startswith(b"<!--"):  # one pattern for it all would try each comment's end twice
        rest = rest.partition(b"-->")[2].lstrip()
    return rest.lower().startswith((b"<!doctype html", b"<html", b"<head"))


def refuse_page(start: bytes, url: str) -> None:
    """Raise if a file begins as a web page does."""
    if is_page(start):
        raise page(url)


def page(url: str) -> WebPage:
    return WebPage(
        f"{url} answers with a web page instead of the file",
        hint="log in to the network first, if it has a captive portal", command=CHECK,
    )  # fmt: skip


def reason(exc: BaseException) -> str:
    """The innermost cause in a few words: libraries wrap it three times."""
    while not isinstance(exc, TimeoutError) and isinstance(
        inner := exc.__cause__ or exc.__context__, Exception
    ):
        exc = inner
    if isinstance(exc, TimeoutError):
        return "timed out"
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return shown(" ".join(str(text).split()))
