"""Where the rootless daemon keeps its things."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest

from harness.guest.guest import Guest
from harness.rootless import engine
from harness.rootless.engine import Docker
from harness.rootless.expectations import paths
from harness.session.decide import Decider

pytestmark = [pytest.mark.paths]

# The UNIX sockets that dockerd itself listens on, by the inodes of its open files.
SOCKETS = """
pid=$(pgrep -u "$1" -x dockerd | head -n 1)
for link in /proc/"$pid"/fd/*; do
    inode=$(readlink "$link" | sed -n 's/^socket:\\[\\(.*\\)\\]$/\\1/p')
    [ -n "$inode" ] || continue
    awk -v inode="$inode" '$4 == "00010000" && $7 == inode { print $8 }' /proc/"$pid"/net/unix
done
"""
# The configuration file that dockerd's own containerd was given lies in DIRECTORY/containerd.
CONTAINERD = """
pid=$(pgrep -u "$1" -x containerd | head -n 1)
tr '\\0' '\\n' < /proc/"$pid"/cmdline
"""


def home_of(guest: Guest) -> str:
    return guest.user.sh('printf %s "$HOME"').stdout


@pytest.mark.claims("M19", "M20", "M21")
def test_directories(guest: Guest, docker: Docker, decide: Decider) -> None:
    """Socket and exec root are in the user's runtime directory, data is below the home."""
    found = guest.root.sh(SOCKETS, guest.access.user, check=False)
    sockets = [path for path in found.stdout.split() if path.endswith("/docker.sock")]
    there = guest.user.sh('for path; do test -S "$path" || exit 1; done', *sockets, check=False)
    decide("M19", " ".join(sockets) if sockets and there.ok else "none", found)

    root = docker("info", "--format", "{{.DockerRootDir}}")
    path = root.stdout.strip()
    named = paths.data_root(path, home_of(guest), guest.facts)
    place = guest.user.run("stat", "-c", "%U %F", path, check=False)
    kept = place.stdout.strip() == f"{guest.access.user} directory"
    evidence = f"{root.transcript}\n{place.transcript}"
    decide("M20", named if kept else f"{named}, which is no directory of the user's", evidence)

    command = guest.root.sh(CONTAINERD, guest.access.user, check=False)
    words = command.stdout.split("\n")
    if "--config" not in words:
        decide("M21", "no containerd of the daemon's own", command)
        return
    config = PurePosixPath(words[words.index("--config") + 1])
    exec_root = str(config.parent.parent)
    listing = guest.root.run("ls", "-la", f"{exec_root}/containerd", check=False)
    evidence = f"{command.transcript}\n{listing.transcript}"
    decide("M21", exec_root if listing.ok else "none", evidence)


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
