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

    def versions(self, package: str) -> tuple[str, ...]:
        listing = self._root.run("apt-cache", "madison", package).stdout
        return listed(listing)

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


def listed(madison: str) -> tuple[str, ...]:
    """The versions of binary packages in a listing such as
    `docker.io | 20.10.24+dfsg1-1 | http://MIRROR bookworm/main amd64 Packages`, in its order."""
    rows = [[part.strip() for part in line.split(" | ")] for line in madison.splitlines()]
    found = [row[1] for row in rows if len(row) == 3 and row[2].endswith("Packages")]
    return tuple(dict.fromkeys(found))
