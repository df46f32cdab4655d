"""Servers that send a byte now and then: a time limit for the head of an answer as a whole.

Time limits of sockets begin anew with every byte, so that such a server holds its client for ever.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
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
            with _limit(self, seconds):
                return super().getresponse()

    class Secure(HTTPSConnection):
        def getresponse(self) -> Any:
            with _limit(self, seconds):
                return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


@contextlib.contextmanager
def _limit(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    late = threading.Event()

    def hang_up() -> None:
        late.set()
        with contextlib.suppress(OSError):  # it has just ended
            # Not SSLSocket's own method, which takes away what the other thread is reading with.
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

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
