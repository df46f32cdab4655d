"""pacman, of Arch Linux."""

from __future__ import annotations

import re

from harness.guest.session import Result
from harness.packages.common import Repository, Tool, signs, words

# pacman.conf reads the files named in it and no directory.
_INCLUDE = 'grep -qxF "Include = $2" "$1" || printf "\\nInclude = %s\\n" "$2" >> "$1"'


class Pacman(Tool):
    """Installing brings everything up to date, as the distro demands: it supports no other way."""

    NAME = "pacman"
    # error: failed to init transaction (unable to lock database)
    # Its lock is an empty file, so its holder is whoever runs.
    SIGNS = signs(
        locked=r"unable to lock database",
        broken=r"failed retrieving file.*|failed to synchronize.*|failed to retrieve some files.*|"
        r"invalid or corrupted (?:database|package).*|Could not resolve host.*|"
        r"database '.*' is not valid.*|could not open file .*\.db.*|signature from .* is .*|"
        r"not enough free disk space|Partition .* too full.*",
    )
    UNREADABLE = re.compile(r"could not open file .*\.db")
    PROCESSES = ("pacman", "packagekitd", "pamac-daemon")

    def _succeeded(self, result: Result) -> bool:
        """An index that cannot be read is fetched without a word, and no failure when read."""
        return super()._succeeded(result) and not self.UNREADABLE.search(result.stderr)

    def _elsewhere(self) -> tuple[str, ...]:
        if not self._at:
            return ()
        at = self._at
        return ("--root", at, "--config", f"{at}/etc/pacman.conf", "--dbpath",
                f"{at}/var/lib/pacman", "--cachedir", f"{at}/var/cache/pacman/pkg",
                "--logfile", f"{at}/var/log/pacman.log", "--hookdir", f"{at}/etc/pacman.d/hooks",
                "--gpgdir", f"{at}/etc/pacman.d/gnupg")  # fmt: skip

    def _pacman(self, operation: str, *arguments: str) -> str:
        return self._do("pacman", operation, "--noconfirm", *self._elsewhere(), *arguments)

    def _query(self, *arguments: str) -> str:
        result = self._ask("pacman", *arguments[:1], *self._elsewhere(), *arguments[1:])
        return result.stdout if result.ok else ""

    def install(self, *packages: str) -> str:
        return self._pacman("-Syu", "--needed", *words(packages))

    def install_file(self, path: str) -> str:
        return self._pacman("-U", path)

    def remove(self, *packages: str) -> str:
        return self._pacman("-Rc", *words(packages))

    def refresh(self) -> str:
        said = self._pacman("-Syy")  # even those that are no older than what was read before
        self._do("pacman", "-Slq", *self._elsewhere())
        return said

    def installed(self, package: str) -> str:
        return self._query("-Q", *words((package,))).partition(" ")[2].strip()

    def owner(self, path: str) -> str:
        return self._query("-Qqo", path).strip()

    def versions(self, package: str) -> tuple[str, ...]:
        """One at most of each repository: they hold no older ones."""
        found = re.findall(r"^Version\s*: (\S+)", self._query("-Si", *words((package,))), re.M)
        return tuple(dict.fromkeys(found))

    def depends(self, package: str) -> frozenset[str]:
        found = re.search(r"^Depends On\s*: (.*(?:\n .*)*)", self._query("-Si", package), re.M)
        listed = found[1].split() if found else []
        return frozenset(re.split("[<>=]", word)[0] for word in listed if word != "None")

    def add_repository(self, repository: Repository) -> str:
        path = f"{self._at}/etc/pacman.d/{repository.name}.conf"
        self._root.write(path, f"[{repository.name}]\nSigLevel = Optional TrustAll\n"
                               f"Server = {repository.url}\n")  # fmt: skip
        self._root.sh(_INCLUDE, f"{self._at}/etc/pacman.conf", path)
        return path
