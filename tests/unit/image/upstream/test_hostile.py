"""Servers that no library for servers would be: they mean to hold us, fill us or mislead us."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pysequoia
import pytest

from harness.errors import HarnessError, TestbedError, UsageError
from harness.image.upstream import urls
from harness.image.upstream.answers import Passing, WebPage, is_page, reason
from harness.image.upstream.checksums import find
from harness.image.upstream.download import Wanted, download
from harness.image.upstream.web import Web
from tests.unit.image.upstream.conftest import Place, Write, clear, detached, fingerprint, sha
from tests.unit.image.upstream.test_fetch import Get, get, kept, refuse

__all__ = ["get"]

Answer = Callable[[socket.socket, int], None]  # the connection, and which request it is
Raw = Callable[[Answer], str]
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@pytest.fixture
def raw() -> Iterator[Raw]:
    """Serve bytes as they are; returns the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()
    count = 0

    def one(connection: socket.socket, answer: Answer, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            answer(connection, number)

    def serve(answer: Answer) -> str:
        def loop() -> None:
            nonlocal count
            with contextlib.suppress(OSError):
                while not over.is_set():
                    connection, _ = listener.accept()
                    count += 1
                    threading.Thread(target=one, args=(connection, answer, count),
                                     daemon=True).start()  # fmt: skip

        threading.Thread(target=loop, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/d"

    yield serve
    over.set()
    listener.close()


@pytest.fixture
def hasty() -> Iterator[Web]:
    with Web(connect=5, stall=0.5, attempts=2, pause=0) as web:
        yield web


def drip(start: bytes) -> Answer:
    """A byte now and then, for ever: each of them begins the time limit of a socket anew."""

    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(b"a")
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 100 Continue\r\n"])
def test_a_head_without_end(raw: Raw, hasty: Web, start: bytes) -> None:
    with pytest.raises(Passing, match="does not answer: timed out"):
        hasty.small(raw(drip(start)))


def test_a_small_file_without_end(raw: Raw, hasty: Web) -> None:
    with pytest.raises(Passing, match="stalls: "):
        hasty.small(raw(drip(OK + b"\r\n")))


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("start", [
    b"2;", b"2\r\nhi\r\n2;", b"2\r\nhi\r\n0\r\nX: ",
], ids=["first chunk", "later chunk", "trailer"])  # fmt: skip
def test_a_framing_without_end(
    raw: Raw, hasty: Web, tmp_path: Path, start: bytes, close: bytes
) -> None:
    """A chunk's extension, or what comes after the last chunk: no byte of it is the body's."""
    url = raw(drip(CHUNKED + close + b"\r\n" + start))
    with pytest.raises(Passing, match="broke off: timed out"):
        hasty.small(url)
    part = tmp_path / "d.part"
    with pytest.raises(Passing, match="broke off: timed out"):
        download(hasty, url, Wanted("toy-1/x86_64", part, False), print)
    assert part.read_bytes() == (b"hi" if b"hi" in start else b"")


def test_a_trailer_of_many_lines(raw: Raw, hasty: Web) -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(CHUNKED + b"\r\n2\r\nhi\r\n0\r\n")
        while True:
            connection.sendall(b"X: y\r\n" * 1000)

    with pytest.raises(Passing, match="broke off: timed out"):
        hasty.small(raw(answer))


def test_a_chunked_body(raw: Raw, web: Web) -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(CHUNKED + b"\r\n2;a=b\r\nhi\r\n0\r\nX: y\r\n\r\n")

    assert web.small(raw(answer)) == b"hi"


def test_a_redirect_with_a_body_without_end_is_not_read(raw: Raw, web: Web) -> None:
    sent = 0

    def answer(connection: socket.socket, number: int) -> None:
        nonlocal sent
        if number > 1:
            connection.sendall(OK + b"Content-Length: 2\r\n\r\nhi")
            return
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n")
        while sent < 1 << 30:
            sent += connection.send(bytes(1 << 16))

    assert web.small(raw(answer)) == b"hi"
    assert sent < 1 << 28


@pytest.mark.parametrize(
    "target", [b"http://[::1/x", b"http://127.0.0.1:99999/x", b"file:///etc/passwd", b"//", b"\xff"]
)
def test_a_redirect_to_what_is_no_url(raw: Raw, web: Web, target: bytes) -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n"
                           b"Location: " + target + b"\r\n\r\n")  # fmt: skip

    with pytest.raises(TestbedError) as caught:
        web.small(raw(answer))
    assert "redirects" in caught.value.what
    assert caught.value.what.isprintable()


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("https://localhost/x", True), ("https://a.localhost./x", True), ("https://127.1/x", True),
        ("https://2130706433/x", True), ("https://0x7f.1/x", True), ("https://0.0.0.0/x", True),
        ("https://[::1]/x", True), ("https://[::ffff:127.0.0.1]/x", True),
        ("https://169.254.169.254/latest", True), ("https://[fe80::1]/x", True),
        ("https://distro.example/x", False), ("https://8.8.8.8/x", False),
        ("https://10.0.0.1/x", False),
    ],
)  # fmt: skip
def test_who_is_near(url: str, near: bool) -> None:
    assert urls.nearby(url) is near


def test_what_a_server_says_cannot_write_on_the_terminal(raw: Raw, web: Web) -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(b"\x00\x1b]0;title\x07\r\n\r\n")

    with pytest.raises(Passing) as caught:
        web.small(raw(answer))
    assert caught.value.what.isprintable()
    assert reason(OSError("a\nb\x1b[31m")) == "a b\\x1b[31m"


@pytest.mark.parametrize("length", [b"9" * 5000, b"-5", b"1e3", b"\xb2"])
def test_a_length_that_is_no_number_of_bytes(
    raw: Raw, disk: bytes, write: Write, get: Get, length: bytes
) -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(OK + b"Content-Length: " + length + b"\r\n\r\n" + disk)

    assert get(write(pinned={"url": raw(answer), "digest": sha(disk)})).digest == sha(disk)


def test_a_server_says_when_to_come_back(raw: Raw, web: Web) -> None:
    at: list[float] = []

    def answer(connection: socket.socket, number: int) -> None:
        at.append(time.monotonic())
        if number == 1:
            connection.sendall(b"HTTP/1.1 429 No\r\nRetry-After: 1\r\nConnection: close\r\n\r\n")
        else:
            connection.sendall(OK + b"Content-Length: 2\r\n\r\nhi")

    assert web.small(raw(answer)) == b"hi"
    first, second = at
    assert second - first >= 1  # web's own pause is 0


def test_nobody_waits_a_day(raw: Raw, web: Web) -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(b"HTTP/1.1 503 No\r\nRetry-After: 86400\r\nConnection: close\r\n\r\n")

    with pytest.raises(TestbedError, match="503, and asks to come back in 1440 min") as caught:
        web.small(raw(answer))
    assert not isinstance(caught.value, Passing)


def test_a_body_without_end_stops_at_the_limit(raw: Raw, web: Web, tmp_path: Path) -> None:
    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(OK + b"\r\n")
        while True:
            connection.sendall(os.urandom(1 << 16))

    part = tmp_path / "d.part"
    with pytest.raises(UsageError, match="the limit is 1048576"):
        download(web, raw(answer), Wanted("toy-1/x86_64", part, False, limit=1 << 20), print)
    assert not part.exists()


def test_a_body_without_a_length_leaves_room_on_the_disk(
    raw: Raw, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.image.upstream import download as module

    def answer(connection: socket.socket, number: int) -> None:
        connection.sendall(OK + b"\r\n")
        while True:
            connection.sendall(bytes(1 << 16))

    part = tmp_path / "d.part"
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module, "STEP", 1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    with pytest.raises(TestbedError, match="is full"):
        download(web, raw(answer), Wanted("toy-1/x86_64", part, False), print)
    assert part.stat().st_size < 2 << 20


@pytest.mark.parametrize(
    ("start", "page"),
    [
        (b"<html>", True), (b"  <!DOCTYPE html>", True), (b"\xef\xbb\xbf<!-- a\n --><HTML>", True),
        (b"QFI\xfb", False), (b"<!-- a -->", False), (b"abc <html>", False),
        (b"<!-- a --> <!----><head>", True), (b"<!-- <html>", False),
        (500 * b"<!---->", False),  # a pattern may take longer than anybody lives
    ],
)  # fmt: skip
def test_what_begins_as_a_page_does(start: bytes, page: bool) -> None:
    assert is_page(start) is page


# files of digests

DIGEST = "ab" * 32


@pytest.mark.parametrize(
    "text",
    [
        f"{DIGEST}  d\r\n", f"\ufeff{DIGEST}  d\n", f"{DIGEST.upper()} *./d\n", f"\ufeff{DIGEST}",
        f"{'0' * 64}  e\n{DIGEST}  d\n{'1' * 64}  x/d\n", f"SHA256 (d) = {DIGEST}",
    ],
)  # fmt: skip
def test_a_digest_is_found_however_it_is_written(text: str) -> None:
    assert find(text, "d")[1] == f"sha256:{DIGEST}"


@pytest.mark.parametrize("name", ["../../etc/d", "/etc/d", "a/d", "\x1b[31md"])
def test_files_elsewhere_do_not_count(name: str) -> None:
    with pytest.raises(ValueError, match="has no SHA-256"):
        find(f"{DIGEST}  {name}\n", "*d")


def test_a_few_of_many_names_are_told() -> None:
    with pytest.raises(ValueError, match=r"has 9 files that match d\*") as caught:
        find("".join(f"{DIGEST}  d{number}\n" for number in range(9)), "d*")
    assert "d8" not in str(caught.value)


# keys


def use(folder: Path, cert: pysequoia.Cert) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "toy.asc").write_text(str(cert))


@pytest.mark.parametrize("form", ["detached", "clearsigned"])
@pytest.mark.parametrize("end", ["revoked", "expired", "expired since"])
def test_a_key_that_counts_no_more(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path, keys: Path, end: str, form: str
) -> None:
    tsk = pysequoia.Tsk.generate("Old <old@example.invalid>")
    cert, certifier = tsk.extract_certificate(), tsk.certifier()
    text = f"{sha(disk).partition(':')[2]}  d\n".encode()
    sign = detached if form == "detached" else clear
    signature = sign(tsk, text)
    if end == "revoked":
        cert = pysequoia.Cert.from_bytes(bytes(cert) + bytes(cert.revoke(certifier)))
    else:
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
        cert = cert.set_expiration(soon, certifier)
        time.sleep(3)
    if end == "expired":
        signature = sign(tsk, text)
    use(keys, cert)
    latest = {
        "url": server.serve("/d", disk), "checksum": {"url": server.serve("/s", text)},
        "signature": {"url": server.serve("/a", signature), "key": "toy", "form": form},
    }  # fmt: skip
    table = {"toy": {"fingerprint": fingerprint(tsk), "owner": "Toy", "obtain": "ask"}}
    with pytest.raises(HarnessError) as caught:
        get(write(latest=latest, tables={"keys": table}))
    told = "is revoked" if end == "revoked" else "expired on"
    assert f"the key in images/keys {told}" in refuse(cache, caught.value)
    assert kept(cache) == []
    assert "/d" not in server.paths()


def test_a_page_with_a_comment_before_it(server: Place, web: Web) -> None:
    with pytest.raises(WebPage):
        web.small(server.serve("/s", b"<!-- log in --><html>"))
