"""The rest of the family: what else is rootless, and what only looks like it.

Each engine is installed from the distro's packages, in the scenario's own guest; where the distro
has no package the claim does not apply.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.packages import manager
from harness.rootless import engine, family, system_containers
from harness.rootless.audit import watch
from harness.rootless.expectations import predict
from harness.rootless.expectations.examples import PACKAGES
from harness.rootless.looking import CONTAINER, Look, look_at
from harness.session.decide import Decider

pytestmark = [pytest.mark.audit, pytest.mark.family, pytest.mark.state("prepared")]
# What installs packages from the network and is slow under emulation.
slow = pytest.mark.nightly

SETUID_STARTER = ("find", "/usr", "-name", "starter-suid", "-perm", "-4000")


@slow
@pytest.mark.claims("R8", "R9.buildah", "R15")
def test_podman(guest: Guest, distro: Distro, decide: Decider) -> None:
    """Podman and Buildah of a user are rootless; Podman of root is not, whatever it remaps."""
    installed = _provide(guest, distro, decide)
    family.rootfs(guest.user)
    if "podman" in installed:
        network = "slirp4netns" if guest.facts.slirp4netns else "none"
        _decide(guest, decide, "R8", "Podman run by a user",
                lambda: family.podman(guest.user, "--network", network))  # fmt: skip
        guest.user.run("podman", "kill", CONTAINER, check=False)
        guest.user.run("podman", "rm", "-f", CONTAINER, check=False)
    if "buildah" in installed:
        _decide(guest, decide, "R9.buildah", "Buildah run by a user",
                lambda: family.buildah(guest, guest.user))  # fmt: skip
    if "podman" in installed:
        family.rootfs(guest.root)
        ids = [f"--{kind}map=0:200000:65536" for kind in ("uid", "gid")]
        _decide(guest, decide, "R15", "Podman run by root with --uidmap",
                lambda: family.podman(guest.root, "--network=none", *ids),
                answer=family.of_remapped)  # fmt: skip


@slow
@pytest.mark.claims("R10")
def test_lxc(guest: Guest, distro: Distro, decide: Decider) -> None:
    """A container that a user boots with LXC is rootless; lxc-user-nic may help it."""
    if _provide(guest, distro, decide):
        _decide(guest, decide, "R10", "LXC run by a user", lambda: system_containers.lxc(guest))


@slow
@pytest.mark.claims("R18")
def test_lxd(guest: Guest, distro: Distro, decide: Decider) -> None:
    """LXD, and Incus after it, remap their containers, and their daemons are root."""
    installed = _provide(guest, distro, decide, at_most=1)
    if installed:
        daemon = system_containers.daemon(*installed)
        family.rootfs(guest.root)
        _decide(guest, decide, "R18", daemon.package,
                lambda: system_containers.boot(guest, daemon), daemon.socket,
                answer=family.of_remapped)  # fmt: skip


@slow
@pytest.mark.claims("R11", "R19")
def test_apptainer(guest: Guest, distro: Distro, decide: Decider) -> None:
    """Apptainer is rootless in a user namespace, and not with its setuid starter."""
    if not _provide(guest, distro, decide):
        return
    found = guest.root.sh("command -v apptainer singularity").stdout.split()
    family.rootfs(guest.user)
    if "R11" in decide.undecided():
        _decide(guest, decide, "R11", "in a user namespace",
                lambda: family.apptainer(guest, found[0], "--userns"))  # fmt: skip
        guest.root.run("pkill", "-fx", " ".join(family.WAIT), check=False)
    if "R19" in decide.undecided():
        if not guest.root.run(*SETUID_STARTER, check=False).stdout.strip():
            decide.not_applicable("R19", "the packages bring no starter with a setuid bit")
            return
        _decide(guest, decide, "R19", "with the setuid starter",
                lambda: family.apptainer(guest, found[0]))  # fmt: skip


@slow
@pytest.mark.claims("R9")
def test_buildkit(guest: Guest, distro: Distro, decide: Decider) -> None:
    """A user's own BuildKit daemon, under RootlessKit, is rootless."""
    if _provide(guest, distro, decide):
        family.rootfs(guest.user)
        _decide(guest, decide, "R9", "a user's buildkitd", lambda: family.buildkit(guest),
                family.buildkit_socket(guest))  # fmt: skip


@pytest.mark.state("daemon")
@pytest.mark.claims("R9.embedded")
def test_build(guest: Guest, decide: Decider) -> None:
    """The BuildKit inside the rootless daemon is rootless while it builds."""
    if not predict("R9.embedded", guest.facts).applies:
        decide.not_applicable("R9.embedded", predict("R9.embedded", guest.facts).because)
        return
    host = engine.docker_host(guest)
    _decide(guest, decide, "R9.embedded", "a step of `docker build`",
            lambda: family.docker_build(guest, host), host.removeprefix("unix://"))  # fmt: skip


@pytest.mark.claims("R16", "R17")
def test_packaged_nowhere(guest: Guest, decide: Decider) -> None:
    """Kaniko and Makisu are images of a registry, which no guest can reach."""
    for key in decide.undecided():
        decide.not_applicable(key, predict(key, guest.facts).because)


def _provide(
    guest: Guest, distro: Distro, decide: Decider, *, at_most: int | None = None
) -> dict[str, str]:
    """Install what the claims of the scenario are about; those that lack it do not apply."""
    wanted = [name for key in decide.undecided() for name in PACKAGES[key]]
    packages = manager(distro.package_manager, guest.root)
    wanted = list(dict.fromkeys(wanted))
    installed = family.provide(packages, wanted, distro.engine_package, at_most)
    decide.facts = family.with_packages(guest.facts, installed)
    for key in decide.undecided():
        if not any(name in installed for name in PACKAGES[key]):
            names = ", ".join(PACKAGES[key])
            decide.not_applicable(key, f"{distro.package_manager} offers none of {names}")
    return installed


def _decide(
    guest: Guest, decide: Decider, key: str, subject: str, start: Callable[[], int],
    api_socket: str = "", answer: Callable[[Look], str] = family.of_any,
) -> None:  # fmt: skip
    """Audit the container that *start* starts, and decide *key*."""

    def run() -> Look:
        with watch(guest.root) as watching:
            return look_at(guest, watching, start(), api_socket, subject)

    decide(key, *family.verdict(run, answer))
