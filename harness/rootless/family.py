"""The rest of the family: one container of each engine, made without a registry.

Each function starts a container and returns the process id of its init in the initial PID
namespace.  What an engine will not do is a :class:`GuestRefusal` with its log; where it is only
late there is a :class:`CommandTimeout`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.errors import GuestRefusal, TestbedError
from harness.guest.facts import Facts
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout, Session
from harness.packages import PackageManager
from harness.rootless.engine import MAKE_ROOT, RUN_SECONDS
from harness.rootless.looking import CONTAINER, Look

IMAGE = "busybox"
TARBALL = "rootfs.tar"  # in the home directory of whoever starts the container
LOG = "family.log"  # likewise
BUILDKIT_LOG = "buildkitd.log"
# Told from every other process by its arguments.
WAIT = ("/bin/busybox", "sleep", "86399")
APPEAR_SECONDS = 30.0

# Mount points for those engines that do not make them, and an init for those that boot.
_ROOTFS = f"""
set -eu
cd
root=$PWD/rootfs{MAKE_ROOT}
mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/sbin" "$root/var/tmp" "$root/home"
: > "$root/etc/resolv.conf"; : > "$root/etc/hosts"; : > "$root/etc/localtime"
ln -sf ../bin/busybox "$root/sbin/init"
tar --numeric-owner --owner=0 --group=0 -C "$root" -cf rootfs.tar .
"""
_BACKGROUND = f'cd; setsid "$@" > {LOG} 2>&1 < /dev/null &'
_WRITES = 'find /proc/[0-9]*/fd -lname "*/$1" 2> /dev/null | grep -q .'
_DOCKERFILE = f"""\
FROM %s
RUN ["{'", "'.join(WAIT)}"]
"""
_BUILDAH = f"""
set -eu
cd
made=$(buildah from scratch)
buildah add -q "$made" {TARBALL} /
setsid buildah run --network=none "$made" -- "$@" > {LOG} 2>&1 < /dev/null &
"""


def provide(
    packages: PackageManager, wanted: Sequence[str], known: str, at_most: int | None = None
) -> dict[str, str]:
    """Install what the guest's index has of *wanted*, the first *at_most* of them; returns the
    versions of what was installed.

    Raises :class:`TestbedError` where the index or a package cannot be fetched, and where the
    index does not have the package *known*, without which it says nothing of others.
    """
    packages.refresh()
    if not packages.versions(known):
        raise TestbedError(f"the guest's package index does not even have {known}",
                           hint="look at the mirror and at the guest's repositories")  # fmt: skip
    offered = [name for name in wanted if packages.versions(name)][:at_most]
    if offered:
        packages.install(*offered)
    return {name: packages.installed(name) for name in offered}


def with_packages(facts: Facts, installed: dict[str, str]) -> Facts:
    """*facts* with packages that were added since."""
    return replace(facts, packages={**facts.packages, **installed})


def of_any(seen: Look) -> str:
    """The audit's verdict."""
    return seen.verdict


def of_remapped(seen: Look) -> str:
    """The audit's verdict on a container whose ids root asked to be remapped: the processes, their
    capabilities and the owner of the namespace give it away.

    An engine that ignores that gives a container that is no example of it, whatever the verdict.
    """
    return seen.verdict_by(1, 2, 3) if seen.report.test(4).passed else "nothing is remapped"


def verdict(
    run: Callable[[], Look], answer: Callable[[Look], str] = of_any
) -> tuple[str, str]:
    """The *answer* that a container gives and the audit's report, or that none runs."""
    try:
        seen = run()
    except GuestRefusal as refusal:
        return "does not run", str(refusal)
    return answer(seen), str(seen.report)


def rootfs(session: Session) -> None:
    """A static busybox as a root, at ``rootfs`` and ``rootfs.tar`` in the user's home."""
    session.sh(_ROOTFS, timeout=RUN_SECONDS)


def background(session: Session, *argv: str) -> None:
    session.sh(_BACKGROUND, *argv)


def appears(guest: Guest, session: Session, argv: Sequence[str] = WAIT) -> int:
    """Wait for the process with the command line *argv*; its pid."""
    pids: list[str] = []

    def there() -> bool:
        pids[:] = guest.root.run("pgrep", "-fx", " ".join(argv), check=False).stdout.split()
        return bool(pids)

    try:
        guest.wait_until(there, "the container", APPEAR_SECONDS)
    except CommandTimeout as error:
        if not _hopeless(guest, error, LOG):
            raise
        log = session.sh(f"cd; cat {LOG}", check=False).stdout
        raise GuestRefusal("the container does not run", detail=log[-4000:]) from error
    return int(pids[0])


def _hopeless(guest: Guest, late: CommandTimeout, log: str) -> bool:
    """Whether what is *late* will not come: nobody writes *log* any more, or the guest has nothing
    to do.  Else it is at work, and the host may be too slow for it."""
    writes = guest.root.sh(_WRITES, log, check=False)
    return not writes.ok or bool(guest.idle(late))


def podman(session: Session, *options: str) -> int:
    session.sh(f'cd; podman import -q {TARBALL} "$1"', IMAGE, timeout=RUN_SECONDS)
    session.run(
        "podman", "run", "-d", "--name", CONTAINER, *options, IMAGE, *WAIT, timeout=RUN_SECONDS
    )
    return int(session.run("podman", "inspect", "-f", "{{.State.Pid}}", CONTAINER).stdout)


def buildah(guest: Guest, session: Session) -> int:
    """A step of a build, without a network: newer ones want pasta for it, which is another
    package."""
    session.sh(_BUILDAH, *WAIT, timeout=RUN_SECONDS)
    return appears(guest, session)


def docker_build(guest: Guest, host: str) -> int:
    """A step of a build by the BuildKit that is part of the daemon behind *host*."""
    guest.user.write(f"{_home(guest)}/build/Dockerfile", _DOCKERFILE % IMAGE)
    background(
        guest.user, "env", "DOCKER_BUILDKIT=1", f"DOCKER_HOST={host}",
        "docker", "build", "--progress=plain", "--network=none", f"{_home(guest)}/build",
    )  # fmt: skip
    return appears(guest, guest.user)


def buildkit_socket(guest: Guest) -> str:
    return f"{guest.facts.xdg_runtime_dir}/buildkit/buildkitd.sock"


def buildkit(guest: Guest) -> int:
    """A step of a build by the user's own BuildKit daemon."""
    home, socket = _home(guest), buildkit_socket(guest)
    guest.user.sh(
        'cd; mkdir -p build; cp rootfs.tar build/; setsid rootlesskit buildkitd --addr "$1" '
        f"> {BUILDKIT_LOG} 2>&1 < /dev/null &",
        f"unix://{socket}",
    )
    dockerfile = _DOCKERFILE.replace("RUN", f"ADD {TARBALL} /\nRUN") % "scratch"
    guest.user.write(f"{home}/build/Dockerfile", dockerfile)
    client = ("buildctl", "--addr", f"unix://{socket}")
    try:
        guest.wait_until(
            lambda: guest.user.run(*client, "debug", "workers", check=False).ok,
            "an answer of buildkitd", APPEAR_SECONDS,
        )  # fmt: skip
    except CommandTimeout as error:
        if not _hopeless(guest, error, BUILDKIT_LOG):
            raise
        log = guest.user.sh(f"cd; cat {BUILDKIT_LOG}", check=False).stdout
        raise GuestRefusal("buildkitd does not answer", detail=log[-4000:]) from error
    background(
        guest.user, *client, "build", "--progress=plain", "--frontend=dockerfile.v0",
        f"--local=context={home}/build", f"--local=dockerfile={home}/build",
    )  # fmt: skip
    return appears(guest, guest.user)


def apptainer(guest: Guest, program: str, *options: str) -> int:
    """Apptainer or Singularity, *program*, on a directory."""
    background(
        guest.user, program, "exec", "--contain", *options, f"{_home(guest)}/rootfs", *WAIT
    )
    return appears(guest, guest.user)


def _home(guest: Guest) -> str:
    return f"/home/{guest.access.user}"
