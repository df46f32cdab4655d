"""The next login of the guest's user: as after a logout, with nothing of before."""

from __future__ import annotations

import contextlib

from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout

SECONDS = 5.0  # with hardware acceleration
_END = """
loginctl terminate-user "$1"
uid=$(id -u "$1")
systemctl stop "user@$uid.service" "user-runtime-dir@$uid.service"
"""
# systemd gives a manager that comes at once the cgroup of the one before, and cannot put it there
# while that still has controllers: "Failed to attach to cgroup", and no daemon of the user's.
_GONE = '[ ! -e /sys/fs/cgroup/user.slice/*/"user@$(id -u "$1").service" ]'


def log_in_again(guest: Guest) -> None:
    """End the user's sessions and manager: the next login starts from nothing."""
    user = guest.access.user
    guest.disconnect()
    guest.root.sh(_END, user, check=False)
    with contextlib.suppress(CommandTimeout):
        guest.wait_until(lambda: guest.root.sh(_GONE, user, check=False).ok,
                         "the end of the user's manager", SECONDS)  # fmt: skip
