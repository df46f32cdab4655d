"""A web server on 127.0.0.1 that can misbehave, keys, and a catalogue of one image."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import re
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pysequoia
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness.image.upstream import catalogue
from harness.image.upstream.catalogue import Upstream
from harness.image.upstream.fetch import Options
from harness.image.upstream.web import Web
from tests.unit.image.upstream.toml import dump


@dataclass
class Served:
    """What a path answers.  ``times`` limits a mischief to the first requests."""

    body: bytes = b""
    status: int = 200
    head: int = 200  # the status of a HEAD
    etag: str = '"one"'
    ranges: bool = True
    if_range: bool = True  # whether it is heeded
    content_range: str = ""  # said of any part, true or not
    content_type: str = "application/octet-stream"
    encoding: str = ""
    redirect: str = ""
    length: int | None = None  # a Content-Length that is not true; -1: none at all
    break_at: int | None = None  # close the connection after so many bytes
    stall_at: int | None = None  # send no more after so many bytes
    times: int = 1_000_000


class Handler(BaseHTTPRequestHandler):
    server: Listener
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        place = self.server.place
        place.asked.append((self.command, self.path, dict(self.headers)))
        what = place.files.get(self.path)
        if what is None:
            self._plain(404)
            return
        what.times -= 1
        if what.redirect:
            self.send_response(302)
            self.send_header("Location", what.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.command == "HEAD" and what.head != 200:
            self._plain(what.head)
            return
        mischief = what.times >= 0
        if what.status != 200 and mischief:
            self._plain(what.status)
            return
        self._file(what, mischief)

    def _file(self, what: Served, mischief: bool) -> None:
        start = self._start(what)
        if start is not None and start >= len(what.body):
            self._plain(416, "text/html")  # as nginx says it
            return
        body = what.body[start or 0 :]
        self.send_response(206 if start is not None else 200)
        if start is not None:
            end = len(what.body)
            said = what.content_range or f"bytes {start}-{end - 1}/{end}"
            self.send_header("Content-Range", said)
        length = what.length if what.length is not None and mischief else len(body)
        if length >= 0:
            self.send_header("Content-Length", str(length))
        else:
            self.close_connection = True
        self.send_header("Content-Type", what.content_type)
        if what.etag:
            self.send_header("ETag", what.etag)
        if what.encoding:
            self.send_header("Content-Encoding", what.encoding)
        self.end_headers()
        if self.command == "HEAD":
            return
        if what.break_at is not None and mischief:
            self.wfile.write(body[: what.break_at])
            self.close_connection = True
        elif what.stall_at is not None and mischief:
            self.wfile.write(body[: what.stall_at])
            self.wfile.flush()
            self.server.place.released.wait(30)
            self.close_connection = True
        else:
            self.wfile.write(body)
            self.close_connection |= length != len(body)

    def _start(self, what: Served) -> int | None:
        found = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("Range", ""))
        if not found or not what.ranges:
            return None
        if what.if_range and self.headers.get("If-Range", what.etag) != what.etag:
            return None
        return int(found[1])

    def _plain(self, status: int, content_type: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    place: Place

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up is what many tests are about


@dataclass
class Place:
    """A server: what it serves, and what it was asked."""

    url: str
    files: dict[str, Served] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def serve(self, path: str, body: bytes = b"", **quirks: Any) -> str:
        self.files[path] = Served(body, **quirks)
        return self.url + path

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]


def listen(context: ssl.SSLContext | None = None) -> Iterator[Place]:
    listener = Listener(("127.0.0.1", 0), Handler)
    if context:
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
    place = Place(f"http{'s' if context else ''}://127.0.0.1:{listener.server_port}")
    listener.place = place
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield place
    place.released.set()
    listener.shutdown()
    listener.server_close()
    thread.join()


@pytest.fixture
def server() -> Iterator[Place]:
    yield from listen()


@pytest.fixture
def mirror() -> Iterator[Place]:
    yield from listen()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "toy")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                          serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )  # fmt: skip
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Place]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    yield from listen(context)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web(connect=5, stall=5, attempts=3, pause=0) as web:
        yield web


@pytest.fixture
def said() -> list[str]:
    return []


# keys


@pytest.fixture(scope="session")
def signer() -> pysequoia.Tsk:
    return pysequoia.Tsk.generate("Toy <toy@example.invalid>")


@pytest.fixture(scope="session")
def stranger() -> pysequoia.Tsk:
    return pysequoia.Tsk.generate("Stranger <stranger@example.invalid>")


@pytest.fixture
def keys(tmp_path: Path, signer: pysequoia.Tsk) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "toy.asc").write_text(str(signer.extract_certificate()))
    return folder


def detached(signer: pysequoia.Tsk, data: bytes) -> bytes:
    return pysequoia.sign(signer.signer(), data, mode=pysequoia.SignatureMode.DETACHED)


def clear(signer: pysequoia.Tsk, data: bytes) -> bytes:
    return pysequoia.sign(signer.signer(), data, mode=pysequoia.SignatureMode.CLEAR)


def fingerprint(key: pysequoia.Tsk) -> str:
    return key.extract_certificate().fingerprint.upper()


# an image, and a catalogue of it


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A qcow2 of 1 MiB, with something in it."""
    folder = tmp_path_factory.mktemp("disk")
    raw, path = folder / "disk.raw", folder / "disk.qcow2"
    raw.write_bytes(bytes(range(256)) * 2048 + bytes(1 << 19))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], check=True)
    return path.read_bytes()


def sha(data: bytes, kind: str = "sha256") -> str:
    return f"{kind}:{hashlib.new(kind, data).hexdigest()}"


Write = Callable[..., Upstream]


@pytest.fixture
def write(tmp_path: Path, signer: pysequoia.Tsk) -> Write:
    """A catalogue of toy-1/x86_64."""

    def write(
        form: str = "qcow2", *, tables: dict[str, Any] | None = None, **places: Any
    ) -> Upstream:
        key = {"fingerprint": fingerprint(signer), "owner": "Toy", "obtain": "ask"}
        doc = {
            "distro": "toy",
            "keys": {"toy": key} if "signature" in places.get("latest", {}) else {},
            "boot": {"b": {
                "firmware": ["bios"], "disk": "virtio", "seed": "virtio", "nic": "virtio",
                "root": "ext4", "console": "ttyS0", "user": "toy", "datasources": ["NoCloud"]}},
            "image": [{"cell": "toy-1/x86_64", "provenance": "official", "format": form,
                       "boot": "b", "end_of_life": "unknown", **places}],
            **(tables or {}),
        }  # fmt: skip
        path = tmp_path / "toy.toml"
        path.write_text(dump(doc))
        return catalogue.load(path)["toy-1/x86_64"]

    return write


@pytest.fixture
def options(web: Web, keys: Path) -> Callable[..., Options]:
    return lambda **more: Options(web=web, keys=keys, **more)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


