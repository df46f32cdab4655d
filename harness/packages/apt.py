"""apt and dpkg."""

from __future__ import annotations

import re

from harness.packages.common import INSTALL_SECONDS, Repository, Tool, environment, signs, words

DEPENDENCY = re.compile(r"(?:^|[,|])\s*([a-z0-9][a-z0-9.+-]+)")  # "adduser, runc (>= 1.0) | crun"


class Apt(Tool):
    """Recommended packages are left out: the documents name what they need."""

    NAME = "apt"
    # E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (apt-get)
    SIGNS = signs(
        locked=r"Could not get lock|Unable to (?:acquire|lock)",
        # What a package's own script says of a full disk is not apt's word: some mean a limit.
        # A repository that is not signed is one that its image does not trust: a no.
        broken=r"^(?:E|W): Failed to fetch.*|Hash Sum mismatch|Temporary failure resolving.*|"
        r"The package lists or status file could not be parsed.*|"
        r"The repository '.*' (?:does not have|no longer has) a Release file.*|"
        r"Release file for .* is (?:not valid yet|expired).*|"
        r"You don't have enough free space in .*|"
        r"^(?:[EW]: |dpkg: | cannot copy |tar: ).*(?:No space left on device|"
        r"Cannot allocate memory).*",
        holder=r"held by (process \d+ \([^)]*\))",
    )
    PROCESSES = ("apt-get", "apt", "dpkg", "unattended-upgr")
    ENVIRONMENT = environment(DEBIAN_FRONTEND="noninteractive", NEEDRESTART_SUSPEND="1")

    def _apt(self, *arguments: str) -> str:
        # apt waits by itself, and takes the lock the moment it is free; then it installs.
        wait = f"DPkg::Lock::Timeout={int(min(self._patience, INSTALL_SECONDS / 2))}"
        return self._do("apt-get", "-o", wait, "-y", *arguments)

    def install(self, *packages: str) -> str:
        return self._apt("install", "--no-install-recommends", *words(packages))

    def versions(self, package: str) -> tuple[str, ...]:
        return listed(self._ask("apt-cache", "madison", *words((package,))).stdout)

    def install_file(self, path: str) -> str:
        return self._apt("install", "--no-install-recommends", path)

    def remove(self, *packages: str) -> str:
        return self._apt("remove", *words(packages))

    def installed(self, package: str) -> str:
        form = "${db:Status-Status} ${Version}"
        said = self._ask("dpkg-query", "-W", "-f", form, *words((package,)))
        status, _, version = said.stdout.partition(" ")
        return version if said.ok and status == "installed" else ""

    def owner(self, path: str) -> str:
        result = self._ask("dpkg-query", "-S", path)
        return result.stdout.split(":", 1)[0] if result.ok else ""

    def depends(self, package: str) -> frozenset[str]:
        # The archive's, of the same version, may declare something else than what is installed.
        form = "${db:Status-Status} ${Pre-Depends}, ${Depends}, ${Recommends}"
        said = self._ask("dpkg-query", "-W", "-f", form, *words((package,)))
        status, _, declared = said.stdout.partition(" ")
        if said.ok and status == "installed":
            return frozenset(DEPENDENCY.findall(declared))
        text = self._root.run(
            "apt-cache", "depends", "--no-suggests", "--no-conflicts", "--no-breaks",
            "--no-replaces", "--no-enhances", package,
        ).stdout  # fmt: skip
        return frozenset(
            line.split(":", 1)[1].strip()
            for line in text.splitlines()
            if line.strip().startswith(("Depends:", "PreDepends:", "Recommends:"))
        )

    def add_repository(self, repository: Repository) -> str:
        path = f"/etc/apt/sources.list.d/{repository.name}.list"
        self._root.write(path, f"deb [trusted=yes] {repository.url} ./\n")
        return path

    def refresh(self) -> str:
        # Without the option an index that cannot be fetched is a warning and exit status 0.
        return self._apt("-o", "APT::Update::Error-Mode=any", "update")

    def refresh_only(self, path: str) -> str:
        """Read the index of the repository that :meth:`add_repository` put into *path*, and leave
        the others as they are."""
        return self._apt(
            "-o", "APT::Update::Error-Mode=any", "-o", f"Dir::Etc::SourceList={path}",
            "-o", "Dir::Etc::SourceParts=-", "-o", "APT::Get::List-Cleanup=0", "update",
        )  # fmt: skip


def listed(madison: str) -> tuple[str, ...]:
    """The versions of binary packages in a listing such as
    `docker.io | 20.10.24+dfsg1-1 | http://MIRROR bookworm/main amd64 Packages`, in its order."""
    rows = [[part.strip() for part in line.split(" | ")] for line in madison.splitlines()]
    found = [row[1] for row in rows if len(row) == 3 and row[2].endswith("Packages")]
    return tuple(dict.fromkeys(found))
