"""Where the rootless daemon keeps its things."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath

import pytest

from harness.guest.guest import Guest
from harness.rootless import engine, processes
from harness.rootless.engine import Docker
from harness.rootless.expectations import paths
from harness.rootless.openness import WRITE, opened, others_answered
from harness.session.decide import Decider

pytestmark = [pytest.mark.paths]

# The UNIX sockets that dockerd listens on, and the TCP ports of it, of RootlessKit and its helpers
# in whatever network namespace they are, in hexadecimal: by the inodes of their open files.
SOCKETS = """
for pid in $1 $2; do
    inodes=$(readlink /proc/"$pid"/fd/* | sed -n 's/^socket:\\[\\(.*\\)\\]$/\\1/p' | tr '\\n' ' ')
    case " $1 " in *" $pid "*) awk -v inodes=" $inodes" \\
        '$4 == "00010000" && index(inodes, " " $7 " ") { print $8 }' /proc/"$pid"/net/unix ;;
    esac
    for name in tcp tcp6; do
        [ ! -e /proc/"$pid"/net/$name ] || awk -v inodes=" $inodes" \\
            '$4 == "0A" && index(inodes, " " $10 " ") { print "tcp:" $2 }' /proc/"$pid"/net/$name
    done
done
"""
# Those of dockerd that are no API: of its metrics, its networks, and of a swarm.
INTERNAL = re.compile(r"/(metrics\.sock|libnetwork/[^/]+\.sock|swarm/[^/]+\.sock)$")
# The configuration file that dockerd's own containerd was given lies in DIRECTORY/containerd.
CONTAINERD = """
tr '\\0' '\\n' < /proc/"$1"/cmdline
"""
HELPERS = ("rootlesskit", "slirp4netns", "vpnkit", "pasta")


def offered(printed: str) -> list[str]:
    """Where the API is, of what :data:`SOCKETS` printed: paths, and then ports of TCP."""
    words = dict.fromkeys(printed.split())
    ports = [int(word.rpartition(":")[2], 16) for word in words if word.startswith("tcp:")]
    paths = [word for word in words if word[0] in "/@" and not INTERNAL.search(word)]
    return [*paths, *(f"tcp {port}" for port in sorted(set(ports)))]


def home_of(guest: Guest) -> str:
    return guest.user.sh('printf %s "$HOME"').stdout


@pytest.mark.claims("M19", "M19.others", "M20", "M21")
def test_directories(guest: Guest, docker: Docker, decide: Decider) -> None:
    """Socket and exec root are in the user's runtime directory, data is below the home."""
    daemon, helpers = (processes.pids(guest, *names) for names in (("dockerd",), HELPERS))
    found = guest.root.sh(SOCKETS, " ".join(daemon), " ".join(helpers), check=False)
    sockets = offered(found.stdout)
    files = [path for path in sockets if path.startswith("/")]
    there = guest.user.sh('for path; do test -S "$path" || exit 1; done', *files, check=False)
    remark, looked = opened(guest, *files, *(str(PurePosixPath(path).parent) for path in files))
    decide("M19", " ".join(sockets) + remark if files and there.ok else "none",
           f"{found.transcript}\n{looked}")  # fmt: skip
    decide("M19.others", *others_answered(guest))

    root = docker("info", "--format", "{{.DockerRootDir}}")
    path = root.stdout.strip()
    named = paths.data_root(path, home_of(guest), guest.facts)
    place = guest.user.run("stat", "-c", "%U %F", path, check=False)
    kept = place.stdout.strip() == f"{guest.access.user} directory"
    remark, looked = opened(guest, path)
    evidence = f"{root.transcript}\n{place.transcript}\n{looked}"
    fault = "" if kept else ", which is no directory of the user's"
    decide("M20", f"{named}{fault}{remark}", evidence)

    command = guest.root.sh(CONTAINERD, processes.pid(guest, "containerd"), check=False)
    words = command.stdout.split("\n")
    if "--config" not in words:
        decide("M21", "no containerd of the daemon's own", command)
        return
    config = PurePosixPath(words[words.index("--config") + 1])
    exec_root = str(config.parent.parent)
    listing = guest.root.run("ls", "-la", f"{exec_root}/containerd", check=False)
    remark, looked = opened(guest, exec_root, bits=WRITE)
    evidence = f"{command.transcript}\n{listing.transcript}\n{looked}"
    decide("M21", f"{exec_root}{remark}" if listing.ok else "none", evidence)


@pytest.mark.claims("M22", "M22.wrong_path")
def test_configuration(guest: Guest, docker: Docker, decide: Decider) -> None:
    """The daemon reads ~/.config/docker/daemon.json, and not the client's ~/.docker."""
    home = home_of(guest)
    # The same key in both, with a value of its own: it tells which of the two was read.
    client = {"labels": ["read-from=client"]}
    config = {**guest.facts.daemon_json, "labels": ["read-from=config"]}
    guest.user.write(f"{home}/.docker/daemon.json", json.dumps(client))
    guest.user.write(f"{home}/.config/docker/daemon.json", json.dumps(config))
    engine.restart(guest)
    labels = docker("info", "--format", "{{json .Labels}}")
    for key, value in (("M22", "read-from=config"), ("M22.wrong_path", "read-from=client")):
        decide(key, "takes effect" if value in labels.stdout else "no effect", labels)


@pytest.mark.claims("M26")
def test_client_with_a_socket(guest: Guest, decide: Decider) -> None:
    """A client that knows nothing but the socket's address runs a container."""
    configuration = guest.user.run("mktemp", "-d").stdout.strip()
    result = guest.user.run(
        "env", "-u", "DOCKER_HOST", "-u", "DOCKER_CONTEXT", f"DOCKER_CONFIG={configuration}",
        "docker", "-H", engine.docker_host(guest), "run", "--rm", "busybox", "true",
        timeout=engine.RUN_SECONDS, check=False,
    )  # fmt: skip
    decide("M26", result.exit_status, result)
