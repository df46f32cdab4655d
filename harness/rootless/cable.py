"""Another machine for a guest: a network namespace at the other end of a cable."""

from __future__ import annotations

from harness.errors import GuestRefusal
from harness.guest.guest import Guest

# Addresses for documentation: nothing else answers for them.
NEAR, FAR = "192.0.2.1", "192.0.2.2"
ELSEWHERE = ("ip", "netns", "exec", "elsewhere")  # in front of a command of root
_LAY = """
set -e
PATH=$PATH:/usr/sbin:/sbin
ip netns add elsewhere
ip link add near type veth peer name far netns elsewhere
ip address add "$1/30" dev near && ip link set near up
ip -n elsewhere address add "$2/30" dev far && ip -n elsewhere link set far up
ip -n elsewhere link set lo up
"""


def lay(guest: Guest) -> None:
    """Give the guest the address :data:`NEAR`, and the other machine :data:`FAR`.

    :class:`GuestRefusal` where root gets no network namespace, or no pair of devices to link it.
    """
    laid = guest.root.sh(_LAY, NEAR, FAR, check=False)
    if not laid.ok:
        said = laid.stderr.strip().splitlines() or ["no reason given"]
        what = f"root can link no network namespace: {said[-1]}"
        raise GuestRefusal(what, detail=laid.transcript)
