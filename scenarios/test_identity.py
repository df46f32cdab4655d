"""Who the daemon is on the host: its namespaces, and the ids that it may use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import pytest

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.rootless import attempt, engine, processes
from harness.rootless.engine import Docker
from harness.rootless.expectations import ids
from harness.session.decide import Decider

pytestmark = [pytest.mark.identity]

ENOUGH = 65536
EXAMPLE = 231072  # where the manual's example lets them start
# An image archive of one layer with one file of the given owner.
LAYER = """
import hashlib, io, json, os, sys, tarfile

owner, mark = int(sys.argv[1]), sys.argv[2]

def add(archive, name, data, owner=0):
    info = tarfile.TarInfo(name)
    info.size, info.uid, info.gid = len(data), owner, owner
    archive.addfile(info, io.BytesIO(data))

layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as archive:
    add(archive, "owned", mark.encode(), owner)
config = json.dumps({
    "architecture": {"aarch64": "arm64"}.get(os.uname().machine, "amd64"),
    "os": "linux", "config": {},
    "rootfs": {"type": "layers",
               "diff_ids": ["sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()]},
}).encode()
manifest = [{"Config": "config.json", "RepoTags": [f"owned:{mark}"], "Layers": ["layer.tar"]}]
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    add(archive, "layer.tar", layer.getvalue())
    add(archive, "config.json", config)
    add(archive, "manifest.json", json.dumps(manifest).encode())
"""
LOAD = 'python3 -I - "$1" "$2" > "$HOME/owned.tar" && docker load -i "$HOME/owned.tar"'
NAMESPACES = """
for name in mnt net user; do
    mine=$(readlink "/proc/$1/ns/$name"); first=$(readlink "/proc/1/ns/$name")
    echo "$name $mine $first"
done
"""


@dataclass(frozen=True)
class MappedRange:
    """A line of uid_map or gid_map."""

    inside: int
    outside: int
    count: int

    @property
    def last(self) -> int:
        return self.inside + self.count - 1


def id_map(text: str) -> list[MappedRange]:
    return [MappedRange(*map(int, line.split())) for line in text.splitlines() if line.strip()]


def highest(ranges: list[MappedRange]) -> int:
    return max((r.last for r in ranges), default=-1)


def outside(guest: Guest, ranges: list[MappedRange]) -> str:
    """The first range of the host's ids that is not the user's own id."""
    own = guest.facts.uid
    found = next((r for r in ranges if not (r.outside == own and r.count == 1)), None)
    return f"{found.outside}-{found.outside + found.count - 1}" if found else "none"


def others_ids(guest: Guest) -> str:
    """Whose the user's subordinate ids are besides; nothing if nobody's."""
    found = []
    kinds = (("passwd", "/etc/subuid", guest.facts.subuid),
             ("group", "/etc/subgid", guest.facts.subgid))  # fmt: skip
    for database, path, own in kinds:
        entries = guest.root.run("getent", database).stdout.splitlines()
        for name, _, number, *_ in (line.split(":") for line in entries):
            if any(r.start <= int(number) < r.start + r.count for r in own):
                found.append(f"{name} of {database}")
        for line in guest.root.read(path).splitlines():
            who, *numbers = line.strip().split(":")
            if who in (guest.access.user, str(guest.facts.uid)) or len(numbers) != 2:
                continue
            start, count = (int(n) if n.isdecimal() else 0 for n in numbers)
            if any(r.start < start + count and start < r.start + r.count for r in own):
                found.append(f"{who} of {path}")
    return ", ".join(found)


def give_ids(guest: Guest, count: int, start: int | None = None) -> None:
    """Let the user have *count* subordinate ids of either kind, and nobody else any.
    :class:`GuestRefusal` where root may not write that down."""
    if start is None:
        start = guest.facts.subuid[0].start if guest.facts.subuid else 100000
    line = f"{guest.access.user}:{start}:{count}\n"
    done = guest.root.run("tee", "/etc/subuid", "/etc/subgid", input=line, check=False)
    if not done.ok:
        raise GuestRefusal("root may not write the subordinate ids", detail=done.transcript)


def load(guest: Guest, owner: int, mark: str) -> tuple[str, Result]:
    """What becomes of a layer with a file of *owner*; *mark* makes it one never seen before."""
    result = guest.user.sh(
        LOAD, str(owner), mark, input=LAYER, env={"DOCKER_HOST": engine.docker_host(guest)},
        check=False,
    )  # fmt: skip
    if result.ok:
        return "loads", result
    return ("lchown error" if re.search(ids.TOO_SMALL, result.stderr) else "failed"), result


@pytest.mark.claims("M1", "D6", "D7", "P6.high_id", "P6")
def test_daemon(guest: Guest, docker: Docker, decide: Decider) -> None:
    """dockerd has namespaces of its own, and maps the user's subordinate ids into them."""
    pid = processes.pid(guest, "dockerd")
    links = guest.root.sh(NAMESPACES, pid)
    lines = [line.split() for line in links.stdout.splitlines()]
    decide("M1", " ".join(name for name, mine, first in lines if mine != first) or "none", links)

    proc = PurePosixPath("/proc", pid)
    maps = guest.root.run("cat", str(proc / "uid_map"), str(proc / "gid_map"))
    uids = id_map(guest.root.read(str(proc / "uid_map")))
    gids = id_map(guest.root.read(str(proc / "gid_map")))
    mapped = sum(r.count for r in uids) - sum(r.inside <= 0 <= r.last for r in uids)
    decide("D6", mapped, maps)
    others = others_ids(guest)
    decide("D7", outside(guest, uids) + (f", also of {others}" if others else ""), maps)
    decide("P6.high_id", min(highest(uids), highest(gids)), maps)

    script = "cat /proc/self/uid_map; echo; cat /proc/self/gid_map"
    inside = docker.run("busybox", "sh", "-c", script)
    both = [id_map(text) for text in inside.stdout.split("\n\n")]
    if len(both) != 2:
        raise GuestRefusal("the container does not tell its id maps", detail=inside.transcript)
    decide("P6", min(map(highest, both)) >= ENOUGH, inside)


@pytest.mark.state("prepared")
@pytest.mark.claims("P6.check_65535", "P6.check_65536", "P6.accepted_65536")
def test_check_counts(guest: Guest, decide: Decider) -> None:
    """The setup tool is content with the documented number of ids, and with one less."""
    give_ids(guest, ENOUGH - 1)
    fewer = attempt.check(guest)
    decide(f"P6.check_{ENOUGH - 1}", fewer.outcome, fewer.evidence)
    give_ids(guest, ENOUGH)
    exact = attempt.check(guest)
    decide(f"P6.check_{ENOUGH}", exact.outcome, exact.evidence)
    decide("P6.accepted_65536", exact.outcome, exact.evidence)


def at_and_above(guest: Guest, decide: Decider, count: int, start: int | None = None) -> None:
    """Load a layer with the highest id that *count* ids allow, and one with the next."""
    give_ids(guest, count, start)
    engine.restart(guest)
    for owner in (count, count + 1):
        seen, evidence = load(guest, owner, f"{owner}-of-{count}")
        decide(f"P6.load_{owner}_of_{count}", seen, evidence)


@pytest.mark.claims("P6.load_65535_of_65535", "P6.load_65536_of_65535")
def test_one_id_too_few(guest: Guest, decide: Decider) -> None:
    """With one id less than documented, a layer that uses the highest id cannot be loaded."""
    at_and_above(guest, decide, ENOUGH - 1)


@pytest.mark.claims("P6.load_65536_of_65536", "P6.load_65537_of_65536", "D7.example")
def test_documented_ids(guest: Guest, decide: Decider) -> None:
    """With the documented ids, the highest is usable, and the next is not."""
    at_and_above(guest, decide, ENOUGH, EXAMPLE)
    look = guest.root.run("cat", f"/proc/{processes.pid(guest, 'dockerd')}/uid_map")
    decide("D7.example", outside(guest, id_map(look.stdout)), look)


@pytest.mark.claims("M5", "M5.too_small")
def test_high_id(guest: Guest, decide: Decider) -> None:
    """A layer with a file of nobody's id loads, and does not with too few ids."""
    decide("M5", *load(guest, 65534, "as-given"))
    give_ids(guest, 1000)
    engine.restart(guest)
    decide("M5.too_small", *load(guest, 65534, "of-1000"))
