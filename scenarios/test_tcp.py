"""The API over TCP with TLS."""

from __future__ import annotations

import pytest

from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.rootless import cable, engine
from harness.rootless.expectations import network, predict
from harness.rootless.expectations.model import OTHERWISE
from harness.session.decide import Decider

pytestmark = [pytest.mark.network, pytest.mark.state("prepared")]

PORT = "2376"
PUBLISH = {"DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS": f"-p 0.0.0.0:{PORT}:{PORT}/tcp"}

# A firewall is for P15.elsewhere to tell.
LET_IN = 'PATH=$PATH:/usr/sbin; iptables -I INPUT -p tcp --dport "$1" -j ACCEPT'

# Two authorities, a server and a client of the first, a client of the second.
CERTIFICATES = r"""
set -e
near=$1
mkdir -p "$HOME/tls"; cd "$HOME/tls"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
authority() {
    key "$1"
    openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 2 -out "$1.pem"
}
signed() {
    key "$1"
    printf 'subjectAltName=IP:127.0.0.1,IP:%s\nextendedKeyUsage=%s\n' "$near" "$3" > "$1.ext"
    openssl req -new -key "$1.key" -subj "/CN=$1" |
        openssl x509 -req -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 2 \
            -extfile "$1.ext" -out "$1.pem"
}
authority ours; authority theirs
signed server ours serverAuth
signed client ours clientAuth
signed stranger theirs clientAuth
pwd
"""


def serve(guest: Guest, tls: str, env: dict[str, str]) -> None:
    """Start the daemon with the API on TCP besides its socket, and wait for the socket."""
    engine.end_by_hand(guest)
    engine.start_by_hand(
        guest, "-H", engine.docker_host(guest), "-H", f"tcp://0.0.0.0:{PORT}", "--tlsverify",
        f"--tlscacert={tls}/ours.pem", f"--tlscert={tls}/server.pem", f"--tlskey={tls}/server.key",
        env=env,
    )  # fmt: skip
    engine.wait_for_daemon(guest)


def ask(guest: Guest, tls: str, certificate: str, *, elsewhere: bool = False) -> Result:
    """``docker version`` over TCP, with the client certificate of that name or with none; from
    *elsewhere* than the machine itself."""
    options = ["--tlsverify", f"--tlscacert={tls}/ours.pem"]
    if certificate:
        options += [f"--tlscert={tls}/{certificate}.pem", f"--tlskey={tls}/{certificate}.key"]
    host = cable.NEAR if elsewhere else "127.0.0.1"
    words = ("docker", "-H", f"tcp://{host}:{PORT}", *options, "version")
    if elsewhere:
        return guest.root.run(*cable.ELSEWHERE, *words, check=False)
    for _ in range(3):  # the server's alert may come later than the end of the connection
        answer = guest.user.run(*words, check=False)
        if outcome(answer) != OTHERWISE:
            break
    return answer


def outcome(result: Result) -> str:
    return "answers" if result.ok else network.tcp_failure(result.stderr)


@pytest.mark.claims("M27.unpublished", "M27", "M27.elsewhere", "M27.no_certificate",
                    "M27.wrong_ca")  # fmt: skip
def test_tls(guest: Guest, decide: Decider) -> None:
    """The port has to be published by RootlessKit, and only a client of the right authority
    is served, on the machine and elsewhere."""
    if not predict("M27", guest.facts).applies:
        for key in decide.undecided():
            decide(key, None)
        return
    made = guest.user.sh(CERTIFICATES, cable.NEAR, check=False)
    assert made.ok, made.transcript
    tls = made.stdout.strip().splitlines()[-1]
    serve(guest, tls, {})
    unpublished = ask(guest, tls, "client")
    decide("M27.unpublished", outcome(unpublished), unpublished)
    serve(guest, tls, PUBLISH)
    for key, certificate in (
        ("M27", "client"), ("M27.no_certificate", ""), ("M27.wrong_ca", "stranger"),
    ):  # fmt: skip
        answer = ask(guest, tls, certificate)
        decide(key, outcome(answer), answer)
    cable.lay(guest)
    hole = guest.root.sh(LET_IN, PORT, check=False)
    answer = ask(guest, tls, "client", elsewhere=True)
    decide("M27.elsewhere", outcome(answer), f"{hole.transcript}\n{answer.transcript}")
