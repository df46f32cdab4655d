"""A root file system in a tar, changed without unpacking it: no privilege, and owners, modes and
extended attributes stay."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

XATTR = "SCHILY.xattr."
_LINKS = 40  # followed at most, as the kernel does


@dataclass(frozen=True)
class Piece:
    """Bytes of an open file.  Members that share one are hard links of each other."""

    file: IO[bytes]
    offset: int
    size: int

    def open(self) -> IO[bytes]:
        self.file.seek(self.offset)
        return self.file

    def read(self) -> bytes:
        return self.open().read(self.size)


@dataclass(frozen=True)
class Node:
    """``member`` says what it is and whose; its name and size do not count."""

    member: tarfile.TarInfo
    piece: Piece | None = None  # of a regular file


class Tree:
    """Paths have no slash in front; the root is the empty path."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}

    @classmethod
    def load(cls, tar: tarfile.TarFile) -> Tree:
        """What *tar*, which must stay open, holds."""
        tree = cls()
        tree.nodes = dict(members(tar))
        return tree

    def save(self, out: Path) -> None:
        written: dict[Piece, str] = {}
        with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as tar:
            for path, node in sorted(self.nodes.items()):
                member = _copy(node.member, f"./{path}" if path else ".")
                if node.piece is None:
                    tar.addfile(member)
                elif first := written.get(node.piece):
                    member.type, member.linkname, member.size = tarfile.LNKTYPE, first, 0
                    tar.addfile(member)
                else:
                    member.type, member.size = tarfile.REGTYPE, node.piece.size
                    tar.addfile(member, node.piece.open())
                    written[node.piece] = member.name

    def physical(self, path: str) -> str:
        """Where *path* is: links are followed in its directories, not in its last part."""
        done: list[str] = []
        todo = path.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            node = self.nodes.get("/".join([*done, part]))
            if part == "..":
                del done[-1:]
            elif todo and node and node.member.issym() and (links := links + 1) <= _LINKS:
                target = node.member.linkname
                if target.startswith("/"):
                    done = []
                todo += [step for step in target.split("/")[::-1] if step not in ("", ".")]
            else:
                done.append(part)
        return "/".join(done)

    def final(self, path: str) -> str:
        """Like :meth:`physical`, and a link in the last part is followed too."""
        return self.physical(f"{path}/.").removesuffix("/.")

    def read(self, path: str) -> str:
        """The text of a file; nothing where there is none."""
        node = self.nodes.get(path)
        return node.piece.read().decode("utf-8", "surrogateescape") if node and node.piece else ""

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """A file of root's, or what is in one that is there."""
        member = self.nodes[path].member if path in self.nodes else tarfile.TarInfo(path)
        if path not in self.nodes:
            member.mode = mode
        self.nodes[path] = Node(member, Piece(io.BytesIO(content), 0, len(content)))

    def below(self, path: str) -> list[str]:
        return [name for name in self.nodes if name.startswith(f"{path}/")]

    def is_folder(self, path: str) -> bool:
        return path in self.nodes and self.nodes[path].member.isdir()

    def remove_empty(self, paths: Iterable[str]) -> None:
        """Of the directories *paths*, those in which nothing is left."""
        children = Counter(_parent(name) for name in self.nodes if name)
        for path in sorted(paths, reverse=True):
            if self.is_folder(path) and not children[path]:
                del self.nodes[path]
                children[_parent(path)] -= 1


def members(tar: tarfile.TarFile) -> Iterator[tuple[str, Node]]:
    """Paths and nodes.  *tar* must be open for random access."""
    pieces: dict[str, Piece] = {}
    assert tar.fileobj is not None
    for member in tar:
        path = member.name.removeprefix("./").strip("/")
        path = "" if path == "." else path
        if member.islnk():
            piece = pieces[member.linkname.removeprefix("./")]
            yield path, Node(member, piece)
        elif member.isreg():
            pieces[path] = Piece(tar.fileobj, member.offset_data, member.size)  # type: ignore[arg-type]
            yield path, Node(member, pieces[path])
        else:
            yield path, Node(member)


def extract(piece: Piece, path: Path) -> None:
    with path.open("wb") as out:
        source, left = piece.open(), piece.size
        while left > 0:
            data = source.read(min(left, 1 << 20))
            out.write(data)
            left -= len(data)


def same_owner(member: tarfile.TarInfo, other: tarfile.TarInfo) -> tarfile.TarInfo:
    """*member* with the mode, owner and extended attributes of *other*."""
    changed = _copy(member, member.name)
    changed.mode, changed.uid, changed.gid = other.mode, other.uid, other.gid
    changed.uname, changed.gname = other.uname, other.gname
    changed.pax_headers = _attributes(other)
    return changed


def _copy(member: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    copy = tarfile.TarInfo(name)
    for key in ("mode", "uid", "gid", "uname", "gname", "mtime", "type", "linkname",
                "devmajor", "devminor"):  # fmt: skip
        setattr(copy, key, getattr(member, key))
    copy.pax_headers = _attributes(member)
    return copy


def _attributes(member: tarfile.TarInfo) -> dict[str, str]:
    # The other headers say what the fields of the member say, and would go before them.
    return {key: value for key, value in member.pax_headers.items() if key.startswith(XATTR)}


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
