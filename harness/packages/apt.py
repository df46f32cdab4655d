"""apt and dpkg."""

from __future__ import annotations

from harness.guest.session import Session

_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
# First boot may still hold dpkg's lock.
_WAIT = ("-o", "DPkg::Lock::Timeout=300")
INSTALL_SECONDS = 180.0


class Apt:
    """Recommended packages are left out: the documents name what they need."""

    def __init__(self, root: Session) -> None:
        self._root = root

    def _apt(self, *arguments: str) -> str:
        return self._root.run(
            "apt-get", *_WAIT, "-y", *arguments, env=_ENVIRONMENT, timeout=INSTALL_SECONDS
        ).transcript

    def install(self, *packages: str) -> str:
        return self._apt("install", "--no-install-recommends", *packages)

    def install_file(self, path: str) -> str:
        return self._apt("install", "--no-install-recommends", path)

    def remove(self, *packages: str) -> str:
        return self._apt("remove", *packages)

    def owner(self, path: str) -> str:
        result = self._root.run("dpkg-query", "-S", path, check=False)
        return result.stdout.split(":", 1)[0] if result.ok else ""

    def depends(self, package: str) -> frozenset[str]:
        text = self._root.run(
            "apt-cache", "depends", "--no-suggests", "--no-conflicts", "--no-breaks",
            "--no-replaces", "--no-enhances", package,
        ).stdout  # fmt: skip
        return frozenset(
            line.split(":", 1)[1].strip()
            for line in text.splitlines()
            if line.strip().startswith(("Depends:", "PreDepends:", "Recommends:"))
        )
