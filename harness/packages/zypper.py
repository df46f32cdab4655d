"""zypper, of openSUSE."""

from __future__ import annotations

import re

from harness.packages.common import Repository, environment, signs, words
from harness.packages.rpm import NO_ROOM, Rpm

REBOOT, RESTART = 102, 103  # done, and wishes


class Zypper(Rpm):
    """Recommended packages are left out: the documents name what they need."""

    NAME = "zypper"
    # System management is locked by the application with pid 812 (/usr/bin/zypper).
    SIGNS = signs(
        locked=r"System management is locked",
        broken=r"Download \(curl\) error.*|Failed to (?:download|retrieve|cache).*|"
        r"Problem retrieving.*|Valid metadata not found.*|File '.*' not found on medium.*|"
        r"Could not refresh.*|Some of the repositories have not been refreshed.*|"
        r"Can't provide .*|Digest verification failed.*|Repository '.*' is invalid.*|"
        rf".*running out of disk space.*|{NO_ROOM}",
        holder=r"application with (pid \d+ \([^)]*\))",
    )
    PROCESSES = ("zypper", "packagekitd", "YaST2")
    FINE = frozenset({0, REBOOT, RESTART})
    ENVIRONMENT = environment(ZYPP_LOCK_TIMEOUT="0")  # waiting is done here

    def _elsewhere(self) -> tuple[str, ...]:
        return ("--root", self._at) if self._at else ()

    def _zypper(self, *arguments: str) -> str:
        return self._do("zypper", "--non-interactive", *self._elsewhere(), *arguments)

    def _quietly(self, *arguments: str) -> str:
        """The answer of a query; its exit status differs with whether anything was found."""
        return self._ask("zypper", "--non-interactive", "--quiet", *self._elsewhere(),
                         "--no-refresh", *arguments).stdout  # fmt: skip

    def install(self, *packages: str) -> str:
        return self._zypper("install", "--no-recommends", *words(packages))

    def install_file(self, path: str) -> str:
        return self._zypper("install", "--no-recommends", "--allow-unsigned-rpm", path)

    def remove(self, *packages: str) -> str:
        return self._zypper("remove", *words(packages))

    def refresh(self) -> str:
        return self._zypper("refresh", "--force")

    def versions(self, package: str) -> tuple[str, ...]:
        found = rows(self._quietly("search", "--details", "--match-exact", "--type", "package",
                                   *words((package,))))  # fmt: skip
        return tuple(dict.fromkeys(row[3] for row in found if len(row) > 3 and row[1] == package))

    def depends(self, package: str) -> frozenset[str]:
        return required(self._quietly("info", "--requires", *words((package,))))

    def add_repository(self, repository: Repository) -> str:
        lines = [f"[{repository.name}]", f"name={repository.name}", f"baseurl={repository.url}",
                 "enabled=1", "autorefresh=1", "type=rpm-md", "gpgcheck=0"]  # fmt: skip
        path = f"{self._at}/etc/zypp/repos.d/{repository.name}.repo"
        self._root.write(path, "\n".join(lines) + "\n")
        return path


def rows(table: str) -> list[list[str]]:
    """The cells of a table such as `   | docker | package | 24.0.7-1 | x86_64 | repo`."""
    lines = [line for line in table.splitlines() if "|" in line and "-+-" not in line]
    return [[cell.strip() for cell in line.split("|")] for line in lines[1:]]


def required(text: str) -> frozenset[str]:
    """The names in `Requires       : helper`, or in the lines below `Requires       : [3]`,
    without what version is asked for."""
    block = re.search(r"^Requires\s*: (.*)\n((?:[ \t]+.*\n?)*)", text, re.MULTILINE)
    if block is None:
        return frozenset()
    lines = block[2].splitlines() if block[1].startswith("[") else [block[1]]
    return frozenset(line.split()[0] for line in lines if line.strip() not in ("", "---"))
