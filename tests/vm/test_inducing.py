"""Inducing traits on a real guest: every value that can be, and what is said of the others."""

from __future__ import annotations

import pytest

from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.rootless.inducers import CannotInduce
from harness.rootless.inducing import induce
from harness.rootless.lab import Lab
from harness.rootless.traits import trait
from tests.vm.conftest import CELL

pytestmark = [pytest.mark.nightly]

# One after the other on one guest: each finds what the one before it left.
STEPS = [
    ("userns-clone", "0"), ("userns-clone", "1"),
    ("max-user-namespaces", "0"), ("max-user-namespaces", ">0"),
    ("port-boundary", "80"), ("ping-group-range", "1 0"),
    ("tun-module", "blocked"), ("tun-module", "available"), ("tun-module", "loaded"),
    ("ip_tables-module", "available"), ("ip_tables-module", "blocked"),
    ("rootlesskit", "missing"), ("rootlesskit", "present"), ("slirp4netns", "missing"),
    ("newuidmap", "powerless"), ("newuidmap", "file capabilities"), ("newuidmap", "missing"),
    ("newuidmap", "setuid root"), ("newgidmap", "powerless"),
    ("subordinate-uids", "none"), ("subordinate-uids", "1000"), ("subordinate-gids", "none"),
    ("iptables", "legacy"), ("iptables", "none"), ("iptables", "nft"),
    ("rootlesskit-capabilities", "cap_net_bind_service"), ("rootlesskit-capabilities", "none"),
    ("linger", "yes"), ("fuse-device", "no"), ("setup-tool", "off PATH"), ("setup-tool", "on PATH"),
    ("user-groups", "docker"), ("user-groups", "none"),
    ("delegated-controllers", "memory pids"), ("delegated-controllers", "memory"),
    ("slice-controllers", "memory"), ("user-session", "no"), ("user-session", "yes"),
    ("cgroup", "v1"), ("cgroup", "hybrid"), ("cgroup", "v2"),
]  # fmt: skip


@pytest.fixture
def guest(own_lab: Lab, own_distro: Distro) -> Guest:
    return own_lab.guest(CELL, own_distro, "prepared")


def test_each_value_is_probed_after_it_was_induced(guest: Guest) -> None:
    for name, value in STEPS:
        before = trait(name).probe(guest.facts)
        done = induce(guest, name, value)
        assert (done.before, done.after) == (before, value)
        assert bool(done.done) == (before != value), (name, value)
        again = induce(guest, name, value)
        assert not again.done, "it was induced twice"


def test_what_a_kernel_lacks_cannot_be_induced(guest: Guest) -> None:
    with pytest.raises(CannotInduce, match="apparmor_restrict_unprivileged_userns does not exist"):
        induce(guest, "apparmor-userns", "1")
    with pytest.raises(CannotInduce, match="has no parameter permit_mounts_in_userns"):
        induce(guest, "overlay-in-userns", "no")
