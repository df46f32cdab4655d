"""What rpm itself answers, whoever installed the package."""

from __future__ import annotations

from harness.packages.common import Tool, words

# "installing package x needs 12MB more space on the / filesystem"; before rpm 4.18 without "more
# space".
NO_ROOM = r"installing package \S+ needs \d+.* on the \S+ filesystem"


class Rpm(Tool):
    """Queries of the managers that stand on rpm."""

    def _rpm(self, *arguments: str) -> str:
        """The answer of a query; empty for no, which rpm gives on its standard output too."""
        root = ("--root", self._at) if self._at else ()
        result = self._ask("rpm", *root, "-q", *arguments)
        return result.stdout.strip() if result.ok else ""

    def installed(self, package: str) -> str:
        """The version, as ``24.0.9-1.ph4``; with an epoch in front where there is one.  Where
        several are installed (kernels), the first."""
        form = r"%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\n"
        return self._rpm("--qf", form, *words((package,))).partition("\n")[0]

    def owner(self, path: str) -> str:
        return self._rpm("--qf", r"%{NAME}\n", "-f", path).partition("\n")[0]
