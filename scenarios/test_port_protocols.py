"""What a published port carries beside TCP over IPv4, and whose address the container sees."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout, Result, Session
from harness.rootless import attempt, cable, kit
from harness.rootless.engine import Docker
from harness.rootless.expectations import forwarding, ports
from harness.rootless.expectations.network import MTU_ASKED
from harness.session.decide import Decider

pytestmark = [pytest.mark.ports]

NAME = "answerer"
NO_ANSWER = "no answer"
# Answers each connection and each datagram with the address that it comes from.
SERVER = """
import socket, threading

try:
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", 80))
except OSError:  # no IPv6 in the container
    listener = socket.socket()
    listener.bind(("0.0.0.0", 80))
listener.listen()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("0.0.0.0", 80))

def stream():
    while True:
        connection, client = listener.accept()
        connection.sendall(client[0].replace("::ffff:", "").encode())
        connection.close()

threading.Thread(target=stream, daemon=True).start()
while True:
    _, client = datagrams.recvfrom(100)
    datagrams.sendto(client[0].encode(), client)
"""
# A datagram may be lost, so three are sent.  An answer of nothing is none.
ASK = """
import socket, sys

protocol, host, port = sys.argv[1:]
datagrams = protocol == "udp"
client = socket.socket(
    socket.AF_INET6 if ":" in host else socket.AF_INET,
    socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM,
)
client.settimeout(15 if datagrams else 45)
client.connect((host, int(port)))
for attempt in range(3 if datagrams else 1):
    if datagrams:
        client.send(b"who am I?")
    try:
        answer = client.recv(100).decode()
        break
    except socket.timeout:
        answer = ""
print(answer)
sys.exit(not answer)
"""
PYTHON = """
for directory in /usr /lib /lib64; do [ ! -e $directory ] || echo $directory; done
command -v python3
"""


@dataclass(frozen=True)
class Port:
    """A port of the machine behind which :data:`SERVER` listens."""

    protocol: str
    number: int

    @property
    def option(self) -> str:
        return f"{self.number}:80/{self.protocol}"


TCP, UDP = Port("tcp", 8080), Port("udp", 5353)
LOCAL = Port("tcp", 8081)  # published on 127.0.0.1


def serving(guest: Guest, docker: Docker) -> bool:
    """Whether the container's port 80 is taken on UDP, which the server takes last."""
    pid = docker("inspect", "-f", "{{.State.Pid}}", NAME).stdout.strip()
    taken = guest.root.sh('cat "$1/udp" "$1/udp6"', f"/proc/{pid}/net", check=False)
    return f":{80:04X} " in taken.stdout


def serve(guest: Guest, docker: Docker) -> Result:
    """The server in a container, with the machine's Python, published on both ports."""
    *directories, python = guest.user.sh(PYTHON).stdout.split()
    mounts = [word for name in directories for word in ("-v", f"{name}:{name}:ro")]
    started = docker(
        "run", "-d", "--name", NAME, "-p", TCP.option, "-p", UDP.option,
        "-p", f"127.0.0.1:{LOCAL.option}", *mounts, "busybox", python, "-I", "-c", SERVER,
        check=False,
    )  # fmt: skip
    if started.ok:
        try:
            guest.wait_until(lambda: serving(guest, docker), "the server", 15, pause=0.5)
        except CommandTimeout as error:
            log = docker("logs", NAME, check=False).transcript
            what = "the server in the container does not start"
            runs = docker("inspect", "-f", "{{.State.Running}}", NAME, check=False)
            if runs.stdout.strip() != "true":  # it ended, so it was not slow
                raise GuestRefusal(what, detail=f"{log}\n{runs.transcript}") from error
            raise CommandTimeout(what, detail=log, waited=error.waited) from error
    return started


def ask(session: Session, port: Port, host: str, *through: str) -> Result:
    """The address that the container saw, or why there is no answer."""
    return session.run(
        *through, "python3", "-I", "-", port.protocol, host, str(port.number), input=ASK,
        timeout=90, check=False,
    )  # fmt: skip


def word(started: Result, answer: Result) -> str:
    if started.ok:
        return "answers" if answer.ok else NO_ANSWER
    return "refused" if ports.REFUSED in started.stderr else "failed"


def reach(started: Result, near: Result, far: Result) -> str:
    """Where a port published on 127.0.0.1 answers, in the words of P15.host_ip."""
    if not near.ok:
        return word(started, near)
    return "elsewhere too" if far.ok else "127.0.0.1 alone"


def whose(guest: Guest) -> tuple[str, str]:
    """Whose address the container sees when another machine asks for it."""
    answers = [ask(guest.root, port, cable.NEAR, *cable.ELSEWHERE) for port in (TCP, UDP)]
    evidence = "\n".join(answer.transcript for answer in answers)
    if not all(answer.ok for answer in answers):
        return NO_ANSWER, evidence
    seen = {answer.stdout.strip() for answer in answers}
    if seen == {cable.FAR}:
        return forwarding.CLIENT, evidence
    return ("differs by protocol" if cable.FAR in seen else forwarding.OTHER), evidence


def opened(guest: Guest) -> Result:
    """What the machine's firewall does with what comes in, and a hole in it for both ports."""
    return guest.root.sh(
        'PATH=$PATH:/usr/sbin; iptables -S INPUT; iptables -I INPUT -p tcp --dport "$1" -j ACCEPT; '
        'iptables -I INPUT -p udp --dport "$2" -j ACCEPT', str(TCP.number), str(UDP.number),
        check=False,
    )  # fmt: skip


def whose_let_in(guest: Guest) -> tuple[str, str]:
    """:func:`whose`, through a hole in the firewall if need be: that is for P15.elsewhere."""
    seen, evidence = whose(guest)
    if seen != NO_ANSWER:
        return seen, evidence
    hole = opened(guest)
    seen, again = whose(guest)
    return seen, f"{again}\n{hole.transcript}\n{evidence}"


@pytest.mark.claims("P15.udp", "P15.tcp6", "P15.udp6", "P15.elsewhere", "P15.source",
                    "P15.udp_low_port", "P15.host_ip", "P15.removed")  # fmt: skip
def test_protocols(guest: Guest, docker: Docker, decide: Decider) -> None:
    """UDP is served as TCP is, IPv6 as IPv4, other machines as this one unless one address alone
    is published, and the container does not see who asks; all of it ends with the container."""
    low = docker.run("-p", "53:80/udp", "busybox", "true", check=False)
    refused = "refused" if ports.refused(53, low.stderr) else "failed"
    decide("P15.udp_low_port", "published" if low.ok else refused, low)

    started = serve(guest, docker)
    answer = ask(guest.user, UDP, "127.0.0.1")
    decide("P15.udp", word(started, answer), f"{started.stderr}\n{answer.transcript}")
    listening = guest.user.sh("ss -lntu 2>&1", check=False)
    for key, port in (("P15.tcp6", TCP), ("P15.udp6", UDP)):
        answer = ask(guest.user, port, "::1")
        decide(key, word(started, answer), f"{listening.transcript}\n{answer.transcript}")
    cable.lay(guest)
    seen, evidence = whose(guest)
    if seen == NO_ANSWER:
        evidence += f"\n{opened(guest).transcript}"
        decide("P15.elsewhere", seen, evidence)
        seen, evidence = whose(guest)
    else:
        decide("P15.elsewhere", "answers", evidence)
    decide("P15.source", seen, evidence)
    # Of the machine's own, which no firewall sees.
    asked = [ask(guest.user, LOCAL, host) for host in ("127.0.0.1", cable.NEAR)]
    decide("P15.host_ip", reach(started, *asked), "\n".join(one.transcript for one in asked))

    removed = docker("rm", "-f", NAME, check=False)
    after = ask(guest.user, TCP, "127.0.0.1")
    still = "answers" if after.ok else "listens"
    decide("P15.removed", "refused" if "ConnectionRefusedError" in after.stderr else still,
           f"{removed.transcript}\n{after.transcript}")  # fmt: skip


@pytest.mark.nightly
@pytest.mark.claims("M29.port_driver_chosen", "M29.mtu_asked", "P15.source_slirp4netns",
                    "P15.exit_slirp4netns")  # fmt: skip
def test_port_driver_slirp4netns(guest: Guest, docker: Docker, decide: Decider) -> None:
    """The port driver and the MTU can be chosen, and slirp4netns's port driver shows the container
    who asks."""
    tried = attempt.begin(guest, env={
        "DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER": "slirp4netns",
        "DOCKERD_ROOTLESS_ROOTLESSKIT_MTU": str(MTU_ASKED),
    })  # fmt: skip
    arguments = kit.arguments(guest)
    chosen = kit.option(arguments, "port-driver") or "none"
    if tried.outcome != "starts":
        chosen = tried.outcome
    decide("M29.port_driver_chosen", chosen, f"{tried.evidence}\n{arguments.transcript}")
    mtu = kit.option(arguments, "mtu")
    decide("M29.mtu_asked", int(mtu) if mtu else "none", arguments)
    low = docker.run("-p", "80:80", "busybox", "true", check=False)
    decide("P15.exit_slirp4netns", low.exit_status, low)
    cable.lay(guest)
    started = serve(guest, docker)
    seen, evidence = whose_let_in(guest) if started.ok else (word(started, started), "")
    decide("P15.source_slirp4netns", seen, f"{started.stderr}\n{evidence}")
