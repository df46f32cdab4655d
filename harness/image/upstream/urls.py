"""Which URLs are allowed.  https always; http where a pinned digest makes the way irrelevant,
and to this machine itself, for tests and for a mirror behind a tunnel."""

from __future__ import annotations

import re
from ipaddress import ip_address
from socket import inet_aton
from urllib.parse import unquote, urlsplit

LOOPBACK = ("127.0.0.1", "::1")
# A name, or a number of IPv6.
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f.]*:[0-9a-f:.]*")


def loopback(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK


def nearby(url: str) -> bool:
    """Whether a URL names this machine, however it is written, or its own network cable, where
    clouds tell secrets: nothing that a distro's server has a reason to send anybody to."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        try:
            address = ip_address(inet_aton(host))  # 127.1, 0x7f.1, 2130706433
        except (OSError, ValueError, UnicodeError):
            return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified or mapped.is_link_local


def check(url: str, *, digest_pinned: bool = False) -> None:
    """Raise ValueError for a URL that must not be asked."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ValueError(f"url {url!r} is malformed: {exc}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"url {url!r} is not of the form https://host/path")
    if "@" in parts.netloc:
        raise ValueError(f"url {url!r} holds a password")
    if not _HOST.fullmatch(parts.hostname):
        raise ValueError(f"url {url!r} names no host that there can be")
    if any(c <= " " or c == "\x7f" for c in url):
        raise ValueError(f"url {url!r} holds a space or a control character")
    if parts.scheme == "http" and not (digest_pinned or loopback(url)):
        raise ValueError(f"url {url!r} is http without a pinned digest: expected https")


def check_file(url: str, *, digest_pinned: bool = False) -> None:
    """Raise ValueError for a URL that must not be asked, or that names no file."""
    check(url, digest_pinned=digest_pinned)
    if not (url.isascii() and url.isprintable()):
        raise ValueError(f"url {url!r} holds what a URL has to write with %")
    if "#" in url:
        raise ValueError(f"url {url!r} holds a fragment (#), which no server is told")
    if name(url) in ("", ".", ".."):
        raise ValueError(f"url {url!r} names no file: expected https://host/path/file")


def name(url: str) -> str:
    """The file that a URL names, as far as it is safe for a message or a comparison."""
    return unquote(urlsplit(url).path).rpartition("/")[2]
