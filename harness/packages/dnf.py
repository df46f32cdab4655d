"""dnf, and the two that take the same commands: yum before it, and Photon's tdnf."""

from __future__ import annotations

import re

from harness.guest.session import Result
from harness.packages.common import Repository, signs, words
from harness.packages.rpm import NO_ROOM, Rpm

NO_LOCK = "exit_on_lock=True"  # waiting is done here, with a limit


class Dnf(Rpm):
    """Weak dependencies are left out: the documents name what they need."""

    NAME = "dnf"
    # [Errno 11] … Failed to obtain the transaction lock
    #   The application with PID 812 is: dnf
    SIGNS = signs(
        locked=r"holding the .* ?lock|obtain the .* ?lock|Waiting for process with pid|"
        r"The application with PID \d+",
        broken=r"Failed to download metadata.*|Failed to (?:synchronize|load) .*|Curl error.*|"
        r"Errors during downloading.*|Error downloading packages.*|Cannot download.*|"
        r"No more mirrors to try.*|Cannot find a valid baseurl.*|All mirrors were tried.*|"
        r".*incorrect checksum.*|checksum doesn't match.*|Ignoring repositories: .*|"
        rf"Cannot retrieve repository metadata.*|more space needed on the .*|{NO_ROOM}",
        holder=r"The application with (PID \d+ is: \S+)|(?:process with )(pid \d+)",
    )
    PROCESSES = ("dnf", "dnf-3", "yum", "tdnf", "packagekitd")
    OPTIONS: tuple[str, ...] = ("-y", f"--setopt={NO_LOCK}", "--setopt=install_weak_deps=False")
    QUIET: tuple[str, ...] = ("-q",)
    STRICT: tuple[str, ...] = ("--setopt=*.skip_if_unavailable=False",)

    def _manage(self, *arguments: str) -> str:
        return self._do(self.NAME, *self.OPTIONS, *self._elsewhere(), *arguments)

    def _elsewhere(self) -> tuple[str, ...]:
        """In another root: its own repositories, and the host's nowhere."""
        if not self._at:
            return ()
        return (f"--installroot={self._at}", f"--setopt=reposdir={self._at}/etc/yum.repos.d",
                f"--setopt=cachedir={self._at}/var/cache/dnf", "--releasever=/")  # fmt: skip

    def _query(self, *arguments: str) -> str:
        return self._result(
            self.NAME, *self.QUIET, *self.OPTIONS, *self._elsewhere(), *arguments
        ).stdout

    def _listed(self, *arguments: str) -> tuple[str, ...]:
        """The versions in a listing, newest first; for none its exit status is 1."""
        said = self._ask(self.NAME, *self.QUIET, *self.OPTIONS, "list", *arguments).stdout
        return tuple(dict.fromkeys(reversed(column(said, arguments[-1]))))

    def install(self, *packages: str) -> str:
        return self._manage("install", *map(named, words(packages)))

    def install_file(self, path: str) -> str:
        return self._manage("install", path)

    def remove(self, *packages: str) -> str:
        return self._manage("remove", *words(packages))

    def refresh(self) -> str:
        # Distros have it set that a repository that is not there is passed over in silence.
        return self._manage("clean", "expire-cache") + "\n" + self._manage(
            *self.STRICT, "makecache"
        )

    def versions(self, package: str) -> tuple[str, ...]:
        form = "%{evr}\\n"
        text = self._query("repoquery", "--showduplicates", f"--qf={form}", *words((package,)))
        return tuple(dict.fromkeys(reversed(text.split())))

    def depends(self, package: str) -> frozenset[str]:
        text = self._query("repoquery", "--requires", "--resolve", "--qf=%{name}\\n",
                           *words((package,)))  # fmt: skip
        return frozenset(text.split())

    def add_repository(self, repository: Repository) -> str:
        lines = [f"[{repository.name}]", f"name={repository.name}", f"baseurl={repository.url}",
                 "enabled=1", "gpgcheck=0"]  # fmt: skip
        path = f"{self._at}/etc/yum.repos.d/{repository.name}.repo"
        self._root.write(path, "\n".join(lines) + "\n")
        return path


class Yum(Dnf):
    """yum 3, of CentOS 7.  A package that does not exist is no error to it when another one
    does, so its words are read."""

    NAME = "yum"
    OPTIONS = ("-y", f"--setopt={NO_LOCK}")
    MISSING = re.compile(r"^No package .* available|No match for argument", re.MULTILINE)

    def _succeeded(self, result: Result) -> bool:
        return super()._succeeded(result) and not self.MISSING.search(result.stdout)

    def versions(self, package: str) -> tuple[str, ...]:
        return self._listed("--showduplicates", *words((package,)))

    def depends(self, package: str) -> frozenset[str]:
        return providers(self._query("deplist", *words((package,))))


class Tdnf(Dnf):
    """tdnf, of Photon: no weak dependencies, fewer options, and no word for who waits for whom."""

    NAME = "tdnf"
    SIGNS = signs(
        locked=r"waiting for \S*lock|instance[- ]lock|Waiting for process with pid",
        broken=r"Failed to synchronize cache.*|curl#?\d+.*|Error when downloading.*|"
        r"Failed to download.*|Curl error.*|Errors during downloading.*|"
        r"Error processing package:.*|Cannot download.*|Error downloading packages.*|"
        rf"{NO_ROOM}",
    )
    OPTIONS = ("-y",)
    STRICT = ()

    def versions(self, package: str) -> tuple[str, ...]:
        return self._listed(*words((package,)))

    def depends(self, package: str) -> frozenset[str]:
        text = self._query("repoquery", "--requires", *words((package,)))
        return frozenset(word for line in text.splitlines() for word in line.split()[:1])


def named(package: str) -> str:
    """``name=version`` as dnf writes it: ``name-version``."""
    return package.replace("=", "-", 1)


def column(text: str, package: str) -> list[str]:
    """The versions of *package* in a listing such as
    `docker-ce.x86_64        3:26.1.4-1.el7        docker-ce-stable`, in its order."""
    rows = [line.split() for line in text.splitlines()]
    return [row[1] for row in rows if len(row) == 3 and row[0].rpartition(".")[0] == package]


def providers(text: str) -> frozenset[str]:
    """The packages in `   provider: container-selinux.noarch 2:2.119.2-1.el7`, which dnf, where
    it stands in for yum, writes `  provider: container-selinux-2:2.119.2-1.el7.noarch`."""
    found = re.findall(r"^\s*provider: (\S+)\.\S+ \S|^\s*provider: (\S+)-[^-\s]+-[^-\s]+$",
                       text, re.MULTILINE)  # fmt: skip
    return frozenset(one or other for one, other in found)
