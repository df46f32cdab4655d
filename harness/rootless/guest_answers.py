# Python 3.6, few imports (each costs time under emulation), and printing is what it is for:
# ruff: noqa: PTH115, PTH116, PTH123, PTH208, T201
"""Runs in the guest as root, fed to ``python3 -I -``: who gets through to a container engine.

Standard library of Python 3.6 only.  The argument is the user's name.  Prints a JSON object:
``called``, the UNIX sockets that are called as an engine's are; ``sockets``, which ones let whom
through: of those, other accounts than root and the user, and the user where it is root's; of all
others, ANYBODY where the API answers, and else the user where it does and it is root's; and
``ports``, where it answers ANYBODY on TCP.  UNIX sockets are looked for in every network namespace,
ports in the machine's own.  Abstract ones are told as @NAME.
"""

import contextlib
import json
import os
import pwd
import re
import select
import socket
import struct
import sys
import time
from typing import Any

CALLED = re.compile(r"docker|containerd|api\.sock")
LISTENS, STREAM, TCP_LISTENS = "00010000", "0001", "0A"
PING = b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n"
PONG = re.compile(rb"HTTP/1\.. 200 .*^Api-Version:", re.DOTALL | re.MULTILINE | re.IGNORECASE)
PATIENCE = 5.0  # seconds with hardware acceleration, for all who answer late, or never
ANYBODY = "nobody"


def lines(path: str) -> "list[list[str]]":
    try:
        return [line.split() for line in open(path, errors="replace")][1:]
    except OSError:
        return []


def sockets() -> "dict[str, set[str]]":
    """The inodes by path, or @NAME, of the UNIX sockets that listen, in any network namespace."""
    found: dict[str, set[str]] = {}
    spaces = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            space = os.readlink(f"/proc/{pid}/ns/net")
        except OSError:
            continue
        if space not in spaces:
            spaces.add(space)
            for words in lines(f"/proc/{pid}/net/unix"):
                if len(words) == 8 and words[3:5] == [LISTENS, STREAM] and words[7][0] in "/@":
                    found.setdefault(words[7], set()).add(words[6])
    return found


def holders() -> "dict[str, set[int]]":
    """The users of the processes that have a socket open, by its inode."""
    found: dict[str, set[int]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            uid = os.stat(f"/proc/{pid}").st_uid
            files = [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        for path in files:
            with contextlib.suppress(OSError):  # closed by now
                link = os.readlink(path)
                if link.startswith("socket:["):
                    found.setdefault(link[8:-1], set()).add(uid)
    return found


def ports() -> "list[tuple[int, Any]]":
    """The addresses of TCP at which something listens, as this machine reaches them."""
    found: list[tuple[int, Any]] = []
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for words in lines("/proc/net/" + name):
            if words[3] == TCP_LISTENS:
                host, port = words[1].split(":")
                parts = [int(host[i:i + 8], 16) for i in range(0, len(host), 8)]
                text = socket.inet_ntop(family, struct.pack(f"={len(parts)}I", *parts))
                text = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(text, text)
                found.append((family, (text, int(port, 16))))
    return found


def connected(family: int, address: Any) -> Any:
    """A connection, or None."""
    client = socket.socket(family)
    client.settimeout(socket.getdefaulttimeout() or PATIENCE)
    if family == socket.AF_UNIX and address[0] == "@":
        address = "\0" + address[1:]
    try:
        client.connect(address)
    except OSError:
        client.close()
        return None
    return client


def answering(addresses: "list[Any]") -> "list[Any]":
    """At which of these (family, address) the API answers; all are asked at once."""
    asked: dict[Any, Any] = {}
    said: dict[Any, bytes] = {}
    for family, address in addresses:
        client = connected(family, address)
        if client is not None:
            asked[client], said[client] = address, b""
            try:
                client.sendall(PING)
            except OSError:
                del asked[client]
    waiting, end = list(asked), time.time() + (socket.getdefaulttimeout() or PATIENCE)
    while waiting and time.time() < end:
        for client in select.select(waiting, [], [], max(0, end - time.time()))[0]:
            try:
                data = client.recv(4096)
            except OSError:
                data = b""
            said[client] += data
            if not data or len(said[client]) > 65536:
                waiting.remove(client)
    return [asked[client] for client in asked if PONG.match(said[client])]


def as_user(account: Any, ask: Any) -> Any:
    """What *ask* returns in a process of the account."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            os.write(writer, json.dumps(ask()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text)


def unix(paths: "list[str]") -> "list[Any]":
    return [(socket.AF_UNIX, path) for path in paths]


def reached(paths: "list[str]") -> "list[str]":
    return [path for path in paths if connected(socket.AF_UNIX, path) is not None]


def main() -> None:
    user = pwd.getpwnam(sys.argv[1])
    socket.setdefaulttimeout(PATIENCE * float(sys.argv[2]))
    listening, held = sockets(), holders()
    owners = {path: {uid for inode in inodes for uid in held.get(inode, ())}
              for path, inodes in listening.items()}  # fmt: skip
    called = [path for path in listening if CALLED.search(path)]
    others = [path for path in listening if path not in called]
    found: dict[str, list[str]] = {}
    for account in pwd.getpwall():
        if account.pw_uid == 0:
            continue
        tried = called
        if account.pw_uid == user.pw_uid:
            tried = [path for path in called if 0 in owners[path]]
        through = as_user(account, lambda tried=tried: reached(tried))
        for path in through:
            found.setdefault(path, []).append(account.pw_name)
    anybody = pwd.getpwnam(ANYBODY)
    for path in as_user(anybody, lambda: answering(unix(others))):
        found[path] = [ANYBODY]
    # Whoever answers nobody at all is not waited for once more.
    closed = set(others) - set(as_user(anybody, lambda: reached(others)))
    of_root = [path for path in closed if 0 in owners[path]]
    for path in as_user(user, lambda: answering(unix(of_root))):
        found[path] = [user.pw_name]
    open_ports = as_user(anybody, lambda: answering(ports()))
    print(json.dumps({"called": sorted(called), "sockets": found, "ports": open_ports}))


if __name__ == "__main__":
    main()
