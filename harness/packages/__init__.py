"""Package managers: install, install a local file, query, add a repository."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from harness.errors import TestbedError, UsageError
from harness.guest.session import Session
from harness.packages.apt import Apt
from harness.packages.common import Repository
from harness.packages.dnf import Dnf, Tdnf, Yum
from harness.packages.pacman import Pacman
from harness.packages.zypper import Zypper

__all__ = ["MANAGERS", "PackageManager", "Repository", "install_anew", "manager"]


class PackageManager(Protocol):
    """What every manager can do.  Commands run as root in the guest.

    Where the manager says no (no such package, a conflict) that is :class:`GuestRefusal`.  A
    download that fails, an index that is broken and a lock that somebody keeps are
    :class:`TestbedError`: nothing is said about the distro."""

    def install(self, *packages: str) -> str:
        """Install and return the transcript.

        ``name=version`` asks for one of the versions that :meth:`versions` gives."""

    def versions(self, package: str) -> tuple[str, ...]:
        """Every version that the guest's archives have, newest first; empty for no package."""

    def install_file(self, path: str) -> str:
        """Install a package file that is already in the guest."""

    def remove(self, *packages: str) -> str:
        """Remove packages, and what depends on them."""

    def installed(self, package: str) -> str:
        """The version that is installed, or an empty string."""

    def owner(self, path: str) -> str:
        """The package that owns a file, or an empty string."""

    def depends(self, package: str) -> frozenset[str]:
        """The packages that installing *package* pulls in, by its own declaration."""

    def add_repository(self, repository: Repository) -> str:
        """Install from *repository* too; :meth:`refresh` reads its index.  The path of the file
        that says so."""

    def refresh(self) -> str:
        """Read the indexes of all repositories anew."""

    def refresh_only(self, path: str) -> str:
        """Read the index of the repository that :meth:`add_repository` put into *path*; whether
        the others are left as they are is the manager's."""

    def shell(self, line: str, answer: str = "") -> str:
        """Run a piece of shell that calls the manager: once nobody else holds the lock.  What it
        asks is told *answer*."""


_MAKERS: dict[str, Callable[[Session], PackageManager]] = {
    "apt": Apt, "dnf": Dnf, "yum": Yum, "tdnf": Tdnf, "zypper": Zypper, "pacman": Pacman,
}  # fmt: skip
MANAGERS = tuple(_MAKERS)


def manager(name: str, root: Session) -> PackageManager:
    """The manager called *name* on the guest behind *root*."""
    if name not in _MAKERS:
        raise UsageError(f"no package manager {name!r}; known: {', '.join(MANAGERS)}")
    return _MAKERS[name](root)


def install_anew(tool: PackageManager, *packages: str) -> str:
    """Install with the indexes that the guest has; with new ones where its archive has moved on."""
    try:
        return tool.install(*packages)
    except TestbedError:
        return f"{tool.refresh()}\n{tool.install(*packages)}"
