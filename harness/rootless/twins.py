"""Making a guest its distro's twin, on the way to the state ``booted``.

The guest is a Debian.  It gets the other distro's package manager, a repository with packages
under that distro's names, its os-release, and the traits that the distro is documented to have
before anything is done about them.  Curing those is for the distro's own hints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from harness.distros.base import Distro
from harness.errors import GuestRefusal, TestbedError, UsageError
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout, Session
from harness.hypervisor import acceleration
from harness.image import recipe as recipes
from harness.image import store
from harness.image.choose import Standing
from harness.image.model import Image
from harness.image.recipe import File
from harness.image.twins import repository, schema
from harness.image.twins.repository import NAME, Built
from harness.image.twins.schema import Twin
from harness.matrix import TWIN, Cell
from harness.packages import MANAGERS, Repository, install_anew, manager
from harness.rootless import inducing, installing
from harness.rootless.relogin import log_in_again

SERVED = "/srv/twin"
COPY_SECONDS = 120.0
SERVER_SECONDS = 20.0
PROXY = 3128  # port 80 is for scenarios to publish
_KNOCK = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)"
NOBODY = "127.0.0.81"  # nothing listens there
# Debian's rpm keeps its database in root's home, where not all look; rpm 6 refuses packages that
# are not signed.
RPM_MACROS = "%_dbpath /var/lib/rpm\n%_pkgverify_level none\n"
UNIT = "twin-repository.service"
Log = Callable[[str], None]


def definition(name: str, image: Image) -> Any:
    """What :func:`make` does, as data for the key of the state."""
    twin = schema.load(name)
    text = msgspec.json.encode([_STEPS, RPM_MACROS, twin], order="deterministic")
    return ["twin", hashlib.sha256(text).hexdigest(), repository.key(twin, image)]


_STEPS = 2  # raise it when make would do something else


def make(
    guest: Guest, distro: Distro, image: Image, cache: Path, progress: Log, log: Log
) -> None:
    """Make *guest* the twin of *distro*; its packages are made at first use and kept in *cache*.
    Whatever goes wrong is the test bed's: no distro was asked."""
    twin = schema.load(distro.id)
    packages = repository.ensure(twin, image, cache, progress)
    try:
        _become(guest, twin, packages, log)
    except (GuestRefusal, CommandTimeout) as error:
        raise TestbedError(
            f"{guest.cell}: the guest could not be made a twin: {error.what}",
            hint=f"look at images/twins/{twin.name}.toml",
            command=f"harness shell {twin.base}/x86_64 --state booted --user root",
            detail=error.detail,
        ) from error


def _become(guest: Guest, twin: Twin, packages: Built, log: Log) -> None:
    root, tools = guest.root, twin.tools
    if tools.debs:
        log(install_anew(manager("apt", root), *tools.debs))
    for name, program in tools.commands.items():
        root.run("ln", "-sf", program, f"/usr/bin/{name}")
    root.write("/etc/os-release", twin.os_release.lstrip())
    if twin.repository.format == "rpm":
        root.write("/etc/rpm/macros.twin", RPM_MACROS)
    for file in (f for f in twin.files if not twin.repository.serve):
        _write(root, file)
    where = _copy(root, twin, packages)
    theirs = manager(tools.manager, root)
    added = theirs.add_repository(Repository(NAME, f"file://{where}"))
    # The base's own indexes are those of its preloaded packages: newer ones would be downloaded.
    log(theirs.refresh_only(added))
    if twin.preinstalled:
        log(theirs.install(*twin.preinstalled))
    if twin.repository.serve:
        root.run("rm", added)
        _serve(guest, twin)
        for file in twin.files:
            _write(root, file)
    for name in tools.hide:
        log(f"{installing.hide(root, name)} hidden")
    for name, value in twin.traits.items():
        log(str(inducing.induce(guest, name, value)))
    log_in_again(guest)


def _write(root: Session, file: File) -> None:
    if file.link:
        root.run("ln", "-sfT", file.link, file.path)
    else:
        root.write(file.path, file.content.lstrip(), int(file.mode, 8))


def _copy(root: Session, twin: Twin, packages: Built) -> str:
    """The repository, unpacked in the guest; where."""
    path = "/".join(twin.repository.serve.split("/")[1:])
    where = f"{SERVED}/{path}".rstrip("/")
    root.run("mkdir", "-p", where)
    root.run("tar", "--extract", f"--directory={where}", input=packages.tar.read_bytes(),
             timeout=COPY_SECONDS)  # fmt: skip
    return where


def _serve(guest: Guest, twin: Twin) -> None:
    """A proxy that has what the distro's archive has, for the manager's configuration to name,
    and names that answer nothing.

    A proxy is asked for whole URLs; ``http:`` is a directory to Python's server."""
    root, host = guest.root, twin.repository.serve.split("/")[0]
    lines = [f"{NOBODY} {name}" for name in (host, *twin.repository.dead)]
    root.sh('printf "%s\\n" "$@" >> /etc/hosts', *lines)
    root.run("mkdir", "-p", f"{SERVED}/http:")
    root.run("ln", "-s", SERVED, f"{SERVED}/http:/{host}")
    root.write(f"/etc/systemd/system/{UNIT}", (
        "[Unit]\nDescription=The twin's archive\n"
        f"[Service]\nExecStart=/usr/bin/python3 -m http.server {PROXY} --bind 127.0.0.1 "
        f"--directory {SERVED}\n[Install]\nWantedBy=multi-user.target\n"
    ))  # fmt: skip
    root.run("systemctl", "enable", "--now", UNIT)
    guest.wait_until(
        lambda: root.run("python3", "-c", _KNOCK, str(PROXY), check=False).ok,
        "an answer of the twin's archive", SERVER_SECONDS,
    )  # fmt: skip


def standing(cell: Cell, distro: Distro) -> Standing:
    """Whether *cell* can boot a twin here."""
    if distro.twin is None:
        return Standing("missing", "none is written")
    if cell.mode or cell.arch != repository.ARCH:
        return Standing("missing", f"it is written for {distro.id}/{repository.ARCH} alone")
    twin = schema.load(distro.id)
    _check(twin)
    recipes.load(twin.base).on(cell.arch)
    if lacking := repository.missing_tools(twin):
        return Standing("missing", f"its packages cannot be made without {', '.join(lacking)}")
    if why := acceleration.obstacle(cell.arch):
        return Standing("missing", why)
    return Standing("ready", f"a stand-in on {twin.base}")


def _check(twin: Twin) -> None:
    """What the definition names and other rooms know; :class:`UsageError`, one line."""
    path = schema.folder() / f"{twin.name}.toml"
    if twin.tools.manager not in MANAGERS:
        raise UsageError(f"{path}: tools.manager: no package manager {twin.tools.manager!r}; "
                         f"known: {', '.join(MANAGERS)}")  # fmt: skip
    for name, value in twin.traits.items():
        try:
            inducing.find(name, value)
        except UsageError as error:
            raise UsageError(f"{path}: traits.{name}: {error.what}") from None


def image(distro: Distro, arch: str, cache: Path, progress: Callable[[str], None]) -> Image:
    """The image that the distro's twin boots from: its base's, with the twin's kernel arguments,
    and labelled."""
    twin = schema.load(distro.id)
    found = store.ensure(recipes.load(twin.base), arch, cache, progress, verify=True)
    cmdline = f"{found.cmdline} {twin.kernel_arguments}".strip()
    return replace(found, source=TWIN, cmdline=cmdline)
