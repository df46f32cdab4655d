"""Refusals of a guest whose root logs in, and whose user does not."""

from __future__ import annotations

from harness.errors import GuestRefusal
from harness.guest.session import Session


def refused(root: Session, user: str) -> GuestRefusal:
    return GuestRefusal(f"{user} is not let in any more, and root is", detail=_about(root, user))


def endless(root: Session, user: str, idle: str) -> GuestRefusal:
    """*idle*: that the guest had nothing to do meanwhile."""
    return GuestRefusal(f"logins of {user} come to no end, and those of root do",
                        detail=f"{idle}\n{_about(root, user)}")  # fmt: skip


def _about(root: Session, user: str) -> str:
    """What may tell why."""
    return root.sh(
        'getent passwd "$1"; ls -ld /etc/nologin /run/nologin "/home/$1" 2>/dev/null; '
        "journalctl --no-pager -o cat -n 20 _COMM=sshd + _COMM=sshd-session", user, check=False
    ).transcript
