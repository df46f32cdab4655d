"""Servers that send a byte now and then: a time limit for the head of an answer as a whole, and
for each piece of its body.

Time limits of sockets begin anew with every byte, so that such a server holds its client for ever:
in the head, and in what ``http.client`` reads by itself between the pieces of a chunked body.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Session(requests.Session):
    """Leaves redirects alone: requests would read all of a redirect's body into memory, and
    choke on what is no URL, even where it is told not to follow."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class Adapter(HTTPAdapter):
    """Of a session: the head of an answer is whole after *seconds*, or there is none."""

    def __init__(self, seconds: float) -> None:
        self._pools = _pools(seconds)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(seconds: float) -> dict[str, Any]:
    class Plain(HTTPConnection):
        def getresponse(self) -> Any:
            return _within(seconds, self.sock, super().getresponse)

    class Secure(HTTPSConnection):
        def getresponse(self) -> Any:
            return _within(seconds, self.sock, super().getresponse)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _within(seconds: float, sock: socket.socket, getresponse: Callable[[], Any]) -> Any:
    with _limit(sock, seconds):
        answer = getresponse()
    answer.sock = sock  # the connection forgets it where it ends with the answer
    return answer


def read(answer: requests.Response, size: int, seconds: float) -> bytes:
    """What has come of the body, at most *size* bytes: of a server that stalls nobody waits for
    so many.  Nothing is decoded.  Raises TimeoutError after *seconds*."""
    raw: Any = answer.raw
    # Of a body that is not chunked one read of the socket is enough, and that has a time limit.
    with _limit(raw.sock, seconds) if raw.chunked else contextlib.nullcontext():
        data: bytes = raw.read1(size, decode_content=False)
    return data


@contextlib.contextmanager
def _limit(sock: socket.socket, seconds: float) -> Iterator[None]:
    late = threading.Event()

    def hang_up() -> None:
        late.set()
        with contextlib.suppress(OSError):  # it has just ended
            # Not SSLSocket's own method, which takes away what the other thread is reading with.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as exc:
        if late.is_set():
            raise TimeoutError(f"no whole answer in {seconds:.0f} s") from exc
        raise
    else:
        if late.is_set():  # a head that was cut off passes for a whole one
            raise TimeoutError(f"no whole answer in {seconds:.0f} s")
    finally:
        timer.cancel()
