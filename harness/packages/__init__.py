"""Package managers: install, install a local file, query."""

from __future__ import annotations

from typing import Protocol

from harness.errors import UsageError
from harness.guest.session import Session
from harness.packages.apt import Apt


class PackageManager(Protocol):
    """What every manager can do.  Commands run as root in the guest."""

    def install(self, *packages: str) -> str:
        """Install and return the transcript.  Raises ``GuestRefusal`` when the manager fails.

        ``name=version`` asks for one of the versions that :meth:`versions` gives."""

    def versions(self, package: str) -> tuple[str, ...]:
        """Every version that the guest's archives have, newest first; empty for no package."""

    def install_file(self, path: str) -> str:
        """Install a package file that is already in the guest."""

    def remove(self, *packages: str) -> str:
        """Remove packages, and what depends on them."""

    def owner(self, path: str) -> str:
        """The package that owns a file, or an empty string."""

    def depends(self, package: str) -> frozenset[str]:
        """The packages that installing *package* pulls in, by its own declaration."""


def manager(name: str, root: Session) -> PackageManager:
    """The manager called *name* on the guest behind *root*."""
    if name == "apt":
        return Apt(root)
    raise UsageError(f"no package manager {name!r}; known: apt")
