"""What a container reaches through the user-mode stack: the machine, a name server, no loopback."""

from __future__ import annotations

import pytest

from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.rootless import cable, engine
from harness.rootless.engine import Docker
from harness.rootless.expectations.outward import NO_ANSWER, UNHEARD
from harness.session.decide import Decider

pytestmark = [pytest.mark.network]

MACHINE = "10.0.2.2"  # the machine's 127.0.0.1, of a slirp4netns that is let
PORT = "8022"
HELLO = "hello"
NAME = "machine.example."
LOG = "/root/outward.log"
# Says HELLO on TCP to whoever comes, on each address; and gives for any name the address FAR.
SERVER = """
import socket, sys, threading

hello, port, near, far = sys.argv[1:]

def greet(listener):
    while True:
        connection, _ = listener.accept()
        connection.sendall(hello.encode() + b"\\n")
        connection.close()

for address in ("127.0.0.1", near):
    listener = socket.create_server((address, int(port)))
    threading.Thread(target=greet, args=(listener,), daemon=True).start()
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind((near, 53))
print("up", flush=True)
while True:
    asked, client = names.recvfrom(512)
    end = asked.index(b"\\0", 12) + 5
    known = asked[end - 4:end - 2] == b"\\0\\1"  # type A
    head = asked[:2] + b"\\x81\\x80\\0\\1\\0" + bytes([known]) + b"\\0\\0\\0\\0"
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x1e\\0\\4" + socket.inet_aton(far)
    names.sendto(head + asked[12:end] + (answer if known else b""), client)
"""
# Asks that name server for any name.
ASK = """
import socket, sys

client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(5)
asked = b"\\0\\1\\1\\0\\0\\1" + 6 * b"\\0" + b"\\7machine\\0\\0\\1\\0\\1"
for _ in range(4):
    try:
        client.sendto(asked, (sys.argv[1], 53))
        print(socket.inet_ntoa(client.recv(512)[-4:]))
        break
    except OSError as error:
        print(error, file=sys.stderr)
"""
LISTEN = f''': > {LOG}; setsid python3 -I -c "$@" > {LOG} 2>&1 < /dev/null &'''
# A file of its own: what it was may be a link into the state of a program that writes it.
NAME_SERVER = """
rm -f /etc/resolv.conf && echo "nameserver $1" > /etc/resolv.conf
"""


def heard(docker: Docker, address: str) -> tuple[str, Result]:
    """Whether a container hears the machine's word at *address*."""
    asked = docker.run(engine.IMAGE, "nc", "-w", "20", address, PORT, check=False)
    return ("answers" if asked.stdout.strip() == HELLO else NO_ANSWER), asked


@pytest.mark.claims("M29.traffic", "M29.host_loopback", "M29.name")
def test_outward(guest: Guest, docker: Docker, decide: Decider) -> None:
    """A container reaches the machine and its name server, but nothing that listens on the
    machine's loopback alone."""
    cable.lay(guest)
    guest.root.sh(LISTEN, SERVER, HELLO, PORT, cable.NEAR, cable.FAR)
    guest.wait_until(lambda: "up" in guest.root.read(LOG), "the listeners", 15)
    # The control: on the machine itself its loopback answers.
    guest.wait_until(lambda: HELLO in guest.user.run(
        "busybox", "nc", "-w", "20", "127.0.0.1", PORT, check=False
    ).stdout, "the word on the loopback", 30)  # fmt: skip
    decide("M29.traffic", *heard(docker, cable.NEAR))
    decide("M29.host_loopback", *heard(docker, MACHINE))

    guest.root.sh(NAME_SERVER, cable.NEAR)
    able = guest.user.run("busybox", "nslookup", NAME, check=False)
    if cable.FAR not in able.stdout:
        asked = guest.user.run("python3", "-I", "-c", ASK, cable.NEAR, check=False)
        if cable.FAR in asked.stdout:
            decide.not_applicable("M29.name", "the machine's busybox looks no names up")
        else:
            decide("M29.name", UNHEARD, f"{able.transcript}\n{asked.transcript}")
        return
    engine.restart(guest)  # some stacks read it but once
    look = docker.run(engine.IMAGE, "nslookup", NAME, check=False)
    known = cable.FAR in look.stdout
    kept = docker.run(engine.IMAGE, "cat", "/etc/resolv.conf", check=False)
    decide("M29.name", "answers" if known else NO_ANSWER, f"{look.transcript}\n{kept.transcript}")
