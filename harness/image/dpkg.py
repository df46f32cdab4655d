"""dpkg's database in a root, and packages: read and written without dpkg, which writes only what is
of the architecture it was built for (deb(5), deb-control(5), and dpkg's lib/dpkg/dump.c)."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import TestbedError
from harness.image.tree import Node, Tree, members

ADMIN = "var/lib/dpkg"
STATUS = f"{ADMIN}/status"
_FIELD = re.compile(r"^([^\s:]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)

Stanza = dict[str, str]


def stanzas(text: str) -> Iterator[Stanza]:
    for block in re.split(r"\n\n+", text):
        if found := dict(_FIELD.findall(block)):
            yield found


def render(found: Iterable[Stanza]) -> bytes:
    blocks = ("".join(f"{key}: {value}\n" for key, value in one.items()) for one in found)
    return "\n".join(blocks).encode("utf-8", "surrogateescape")


def information(stanza: Stanza) -> str:
    """What the names of a package's files in ``info`` begin with."""
    name = stanza["Package"]
    if stanza.get("Multi-Arch") == "same":
        name += f":{stanza['Architecture']}"
    return f"{ADMIN}/info/{name}."


def conffiles(stanza: Stanza) -> dict[str, str]:
    """Paths as dpkg writes them, and the MD5 of what the package had there."""
    lines = (line.split() for line in stanza.get("Conffiles", "").splitlines())
    return {fields[0]: fields[1] for fields in lines if len(fields) > 1}


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Database:
    """The packages installed in *tree*, and the paths of each, as they are in the tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.packages = {
            one["Package"]: one for one in stanzas(tree.read(STATUS))
            if one["Status"].endswith(" installed")
        }  # fmt: skip
        lines = iter(tree.read(f"{ADMIN}/diversions").splitlines())
        # Three lines each: from, to, and the package that is not diverted.
        self._diversions = {source: (to, by) for source, to, by in zip(lines, lines, lines)}  # noqa: B905
        self.paths = {name: set(self._listed(one)) for name, one in self.packages.items()}

    def place(self, path: str, package: str) -> str:
        """Where *package* has what its archive calls *path*, without a slash in front."""
        to, by = self._diversions.get(f"/{path}", (f"/{path}", package))
        return self.tree.physical(path if by == package else to.lstrip("/"))

    def _listed(self, stanza: Stanza) -> Iterator[str]:
        for line in self.tree.read(f"{information(stanza)}list").splitlines():
            if line != "/.":
                yield self.place(line.lstrip("/"), stanza["Package"])


@dataclass(frozen=True)
class Deb:
    """A package that is not installed yet."""

    stanza: Stanza
    control: dict[str, tuple[int, bytes]]  # mode and content of what comes with the control file
    files: list[tuple[str, Node]]  # as in the archive

    @property
    def name(self) -> str:
        return self.stanza["Package"]

    @property
    def conffiles(self) -> list[str]:
        _, text = self.control.get("conffiles", (0, b""))
        # A line of two words is about a file to be removed.
        return [line.strip().lstrip("/") for line in text.decode().splitlines()
                if len(line.split()) == 1]  # fmt: skip


def open_deb(path: Path) -> Deb:
    """*path* is unpacked into a tar beside it, which the :class:`Deb` reads from."""
    control = {}
    with tarfile.open(fileobj=io.BytesIO(_packed(path, "--ctrl-tarfile"))) as tar:
        for name, node in members(tar):
            if node.piece:
                control[name] = node.member.mode, node.piece.read()
    (stanza,) = stanzas(control.pop("control")[1].decode("utf-8", "surrogateescape"))
    unpacked = path.with_suffix(".tar")
    unpacked.write_bytes(_packed(path, "--fsys-tarfile"))
    return Deb(stanza, control, list(members(tarfile.open(unpacked, "r:"))))


def _packed(path: Path, what: str) -> bytes:
    result = subprocess.run(["dpkg-deb", what, str(path)], capture_output=True, check=False)
    if result.returncode:
        raise TestbedError(f"the package {path.name} cannot be read",
                           detail=result.stderr.decode(errors="replace"))  # fmt: skip
    return result.stdout
