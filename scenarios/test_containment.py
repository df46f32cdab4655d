"""What whoever breaks out of a container may do to the host."""

from __future__ import annotations

import pytest

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.rootless.engine import IMAGE, Docker
from harness.session.decide import Decider

pytestmark = [pytest.mark.audit]

MARK = "broken-out"
# What root in the container can do to the guest, whose / is $1 and whose disk is called $2: a
# line for each thing.  RootlessKit puts a tmpfs over its own /etc, with the guest's in .ro*:
# whether a new file is the guest's is for the guest to say.
BREAK_OUT = """
test "$(id -u)" = 0 && echo root
test -r "$1/etc/passwd" && grep -q "^root:" "$1/etc/passwd" && echo sees-host
cat "$1/etc/shadow" > /dev/null && echo reads-shadow
cat "$1/etc/gshadow" > /dev/null && echo reads-gshadow
for place in etc/cron.d etc/cron.daily etc/ld.so.conf.d etc/modprobe.d etc/pam.d etc/profile.d \
    etc/security etc/ssh etc/sudoers.d etc/systemd/system etc/udev/rules.d boot root usr/bin \
    usr/lib usr/lib/systemd/system usr/local/bin usr/sbin var/spool/cron; do
    touch "$1/$place/$3" && rm "$1/$place/$3" && echo "writes-/$place"
done
sh -c ': >> "$1"' sh "$1/etc/passwd" && echo writes-passwd
for directory in "$1"/etc "$1"/etc/.ro* "$1"/usr; do
    touch "$directory/$3"
done
chmod u+s "$1/bin/sh" && echo changes-modes
head -c 512 "$1/dev/$2" > /dev/null && echo reads-disk
mknod "/tmp/$2" b 254 0 && echo makes-devices
true
"""


@pytest.mark.claims("R20")
def test_break_out(guest: Guest, docker: Docker, decide: Decider) -> None:
    """Root in a container has no more rights on the host's files than the user has.

    Tried with / of the guest bind-mounted, without and with --privileged.
    """
    disk = guest.root.run("lsblk", "-dnro", "NAME", check=False).stdout.split()
    assert disk, "no disk in sight"
    inside = ("-v", "/:/host", IMAGE, "sh", "-c", BREAK_OUT, "sh", "/host", disk[0], MARK)
    ways = {"bind mount": inside, "privileged": ("--privileged", *inside)}
    results = {name: docker.run(*arguments) for name, arguments in ways.items()}
    for result in results.values():
        if not {"root", "sees-host"} <= set(result.stdout.split()):
            raise GuestRefusal("the container's root is no root, or sees no bind mount of /",
                               detail=result.transcript)  # fmt: skip
    escaped = [
        f"{word} ({name})"
        for name, result in results.items()
        for word in result.stdout.split()
        if word not in ("root", "sees-host")
    ]
    created = guest.root.run("find", "/etc", "/usr", "-maxdepth", "1", "-name", MARK)
    escaped += [f"made {path}" for path in created.stdout.split()]
    evidence = "\n".join(result.transcript for result in results.values())
    decide("R20", f"not contained: {', '.join(escaped)}" if escaped else "contained", evidence)
