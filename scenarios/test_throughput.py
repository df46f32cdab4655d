"""What a container's way out carries, rootless and rootful: measured, and nothing is demanded."""

from __future__ import annotations

import json

import pytest

from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.packages import manager
from harness.rootless import attempt, cable, engine, kit, rootful
from harness.rootless.engine import Docker
from harness.rootless.expectations import predict
from harness.session.decide import Decider

pytestmark = [pytest.mark.network, pytest.mark.nightly]

PORT = "5201"
PASTA = {
    "DOCKERD_ROOTLESS_ROOTLESSKIT_NET": "pasta",
    "DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER": "implicit",
}
# Takes what comes for five seconds, and then hangs up.
SINK = """
import json, socket, sys, time

listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
connection, _ = listener.accept()
begin, count = time.monotonic(), 0
while time.monotonic() < begin + 5:
    data = connection.recv(1 << 20)
    if not data:
        break
    count += len(data)
print(json.dumps({"bytes": count, "seconds": time.monotonic() - begin}), flush=True)
"""
LOG = "/root/sink.log"
LISTEN = f''': > {LOG}; setsid python3 -I -c "$1" "$2" "$3" > {LOG} 2>&1 < /dev/null & echo $!'''
SEND = 'dd if=/dev/zero bs=64k | nc "$1" "$2"'


def rate(guest: Guest, docker: Docker) -> tuple[float, str]:
    """Bytes a second from a container of *docker* to the machine it runs on; 0 for none."""
    listener = guest.root.sh(LISTEN, SINK, cable.NEAR, PORT).stdout.strip()
    guest.wait_until(lambda: "up" in guest.root.read(LOG), "the listener", 15)
    sent = docker.run(engine.IMAGE, "sh", "-c", SEND, "sh", cable.NEAR, PORT, check=False)
    lines = guest.root.read(LOG).splitlines()
    guest.root.run("kill", listener, check=False)  # where nobody came it still waits
    if len(lines) < 2:
        return 0.0, sent.transcript
    told = json.loads(lines[1])
    return told["bytes"] / told["seconds"], lines[1]


@pytest.mark.claims("M30", "M30.pasta")
def test_throughput(guest: Guest, docker: Docker, distro: Distro, decide: Decider) -> None:
    """How much slower the user-mode stacks are than a bridge: a figure in the evidence."""
    cable.lay(guest)
    first, said = rate(guest, docker)
    control, evidence = rate(guest, rootful.start(guest))
    if not control:
        for key in decide.undecided():
            decide.not_applicable(key, f"inconclusive: nothing came rootful either: {evidence}")
        return

    def tell(key: str, rootless: float, said: str) -> None:
        share = f"{rootless / 1e6:.1f} MB/s of {control / 1e6:.1f}: {rootless / control:.1%}"
        text = f"{share} of rootful\nrootless {said}\nrootful {evidence}"
        decide(key, "measured" if rootless else "nothing came", text)

    tell("M30", first, said)
    obstacle = without_pasta(guest, distro)
    if obstacle:
        decide.not_applicable("M30.pasta", obstacle)
        return
    tried = attempt.begin(guest, env=PASTA)
    if tried.outcome != "starts":
        decide("M30.pasta", tried.outcome, tried.evidence)
        return
    arguments = kit.arguments(guest)
    if (net := kit.option(arguments, "net")) != "pasta":
        decide("M30.pasta", f"through {net or 'none'}", arguments)
        return
    tell("M30.pasta", *rate(guest, docker))


def without_pasta(guest: Guest, distro: Distro) -> str:
    """Why pasta cannot be the stack here; empty once it is installed."""
    prediction = predict("M30.pasta", guest.facts)
    if not prediction.applies:
        return prediction.because
    packages = manager(distro.package_manager, guest.root)
    packages.refresh()
    if not packages.versions("passt"):
        return f"{distro.package_manager} offers no passt"
    packages.install("passt")
    return ""
