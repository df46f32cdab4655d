"""Containers that boot a system: LXC run by a user, and LXD or Incus, which root runs."""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.rootless.engine import RUN_SECONDS
from harness.rootless.family import TARBALL

NAME = "looked-at"
BRIDGE = "lxcbr0"
START_SECONDS = 60.0
_SHARE = """
set -eu
# Container root is another user, and has to get to the root of its file system.
for directory in "$HOME" "$HOME/.local" "$HOME/.local/share" "$HOME/.local/share/lxc"; do
    mkdir -p "$directory"
    chmod o+x "$directory"
done
"""
_START = """
systemd-run --user --scope --quiet -p Delegate=yes -- \
    lxc-start -n "$1" -o "$HOME/lxc.log" -l INFO
"""


def lxc(guest: Guest) -> int:
    """The init of an unprivileged LXC container, with a network where there is LXC's bridge."""
    facts, user = guest.facts, guest.user
    bridged = guest.root.run("ip", "link", "show", BRIDGE, check=False).ok
    lines = ["lxc.apparmor.profile = unconfined"]  # root alone may load one
    for letter, ranges in (("u", facts.subuid), ("g", facts.subgid)):
        first = 0
        for ids in ranges:
            lines.append(f"lxc.idmap = {letter} {first} {ids.start} {ids.count}")
            first += ids.count
    if bridged:
        line = f"{guest.access.user} veth {BRIDGE} 10\n"
        guest.root.sh('cat >> /etc/lxc/lxc-usernet', input=line)
        lines += ["lxc.net.0.type = veth", f"lxc.net.0.link = {BRIDGE}", "lxc.net.0.flags = up"]
    else:
        lines.append("lxc.net.0.type = empty")
    home = f"/home/{guest.access.user}"
    user.write(f"{home}/.config/lxc/default.conf", "\n".join(lines) + "\n")
    user.sh(_SHARE)
    user.run("lxc-create", "-n", NAME, "-t", "busybox", timeout=RUN_SECONDS)
    started = user.sh(_START, NAME, timeout=RUN_SECONDS, check=False)
    told = user.run("lxc-info", "-n", NAME, "-p", "-H", check=False)
    if not started.ok or not told.stdout.strip().isdecimal():
        log = user.sh('cat "$HOME/lxc.log"', check=False).stdout
        raise GuestRefusal(
            "the LXC container does not run", detail=f"{started.transcript}\n{log[-4000:]}"
        )
    return int(told.stdout)


@dataclass(frozen=True)
class Daemon:
    """A daemon of system containers, by the package that brings it."""

    package: str
    client: str
    unit: str
    socket: str
    setup: tuple[str, ...]  # reads the first configuration from its standard input


_INCUS = ("incus", "incus.service", "/var/lib/incus/unix.socket", ("incus", "admin", "init"))
DAEMONS = (
    Daemon("lxd", "lxc", "lxd.service", "/var/lib/lxd/unix.socket", ("lxd", "init")),
    Daemon("incus-base", *_INCUS),
    Daemon("incus", *_INCUS),
)
_PRESEED = """\
storage_pools:
- name: default
  driver: dir
profiles:
- name: default
  devices:
    root: {type: disk, path: /, pool: default}
"""
# Ids for containers, which the documents ask for and packages leave out.
_ROOT_IDS = """
for file in /etc/subuid /etc/subgid; do
    grep -q '^root:' "$file" || echo root:1000000:65536 >> "$file"
done
"""
# An image is a tar of `rootfs` and of what describes it; root's home has the former.
_IMAGE = f"""
set -eu
cd
printf 'architecture: %s\\ncreation_date: 1\\n' "$(uname -m)" > metadata.yaml
tar --numeric-owner --owner=0 --group=0 -cf {TARBALL} metadata.yaml rootfs
"$1" image import {TARBALL} --alias busybox
"""


def daemon(package: str) -> Daemon:
    return next(one for one in DAEMONS if one.package == package)


def boot(guest: Guest, daemon: Daemon) -> int:
    """The init of an unprivileged container of *daemon*, which root runs."""
    root = guest.root
    root.sh(_ROOT_IDS)
    # The daemon reads the ids when it starts; its unit is active once it answers.
    root.run("systemctl", "restart", daemon.unit, timeout=START_SECONDS)
    root.run(*daemon.setup, "--preseed", input=_PRESEED, timeout=RUN_SECONDS)
    root.sh(_IMAGE, daemon.client, timeout=RUN_SECONDS)
    root.run(daemon.client, "launch", "busybox", NAME, timeout=RUN_SECONDS)
    told = root.run(daemon.client, "query", f"/1.0/instances/{NAME}/state")
    return int(json.loads(told.stdout)["pid"])
