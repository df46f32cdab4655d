"""The packages of one architecture in the place of those of another.

The root was made by running the maintainer scripts of its own packages.  What those leave (users,
links, files in /etc) stays; what depends on the architecture comes out of the packages.  dpkg finds
a database as if it had unpacked them itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.errors import TestbedError
from harness.image import dpkg, labels
from harness.image.dpkg import Database, Deb, Stanza
from harness.image.labels import Names
from harness.image.tree import Node, Tree, same_owner

# Triggers whose outcome is of the architecture, and who is interested.
TRIGGERS = {"libc-bin": "ldconfig"}
# PEP 3147; an interpreter takes it if it has the time and the size of its source (PEP 552).
_COMPILED = re.compile(r"(?P<folder>.+)/__pycache__/(?P<name>[^/]+)\.cpython-\d+(\.opt-\d)?\.pyc")


@dataclass(frozen=True)
class Grafted:
    replaced: list[str]  # names of packages
    unpacked: list[str]  # which the root did not have, so they are not configured
    dropped: list[str]  # paths that no package has, in directories of the old architecture


class Graft:
    def __init__(self, tree: Tree, debs: Iterable[Deb], old: Names, new: Names) -> None:
        self.tree, self.old, self.new = tree, old, new
        self.before = Database(tree)
        self.debs = [deb for deb in debs if not self._is_there(deb)]
        self._nodes = dict(tree.nodes)  # as they were
        self._owners: dict[str, list[str]] = {}
        for name, paths in self.before.paths.items():
            for path in paths:
                self._owners.setdefault(path, []).append(name)

    def run(self, wanted: Iterable[str]) -> Grafted:
        """*wanted* are the packages that somebody asked for; the others are automatic."""
        packages = self.before.packages
        replaced = [deb.name for deb in self.debs if deb.name in packages]
        left = [
            name for name, stanza in packages.items()
            if name not in replaced and stanza["Architecture"] not in ("all", self.new.debian)
        ]  # fmt: skip
        if left:
            raise TestbedError(f"{', '.join(left)}: no package of {self.new.debian} to replace it")
        self._remove(replaced)
        status = dict(packages)
        for deb in self.debs:
            self._database(deb)
            status[deb.name] = self._put(deb)
        for name, trigger in TRIGGERS.items():
            status[name] |= {"Status": "install ok triggers-pending", "Triggers-Pending": trigger}
        self.tree.write(dpkg.STATUS, dpkg.render(status.values()))
        labels.rename(self.tree, self.old, self.new)
        self._automatic(set(wanted))
        self._compile()
        unpacked = [deb.name for deb in self.debs if deb.name not in packages]
        return Grafted(replaced, unpacked, self._drop())

    def _is_there(self, deb: Deb) -> bool:
        """A package of every architecture, in the version that is installed."""
        keys = ("Version", "Architecture")
        there = self.before.packages.get(deb.name, {})
        return deb.stanza["Architecture"] == "all" and all(
            deb.stanza[key] == there.get(key) for key in keys
        )

    def _remove(self, replaced: Iterable[str]) -> None:
        paths = self.before.paths
        gone = {path for name in replaced for path in paths[name]}
        stay = {path for name in paths.keys() - set(replaced) for path in paths[name]}
        stay |= {self.before.place(path, deb.name) for deb in self.debs for path, _ in deb.files}
        folders = {path.rpartition("/")[0] for path in gone}
        for path in gone - stay - folders:
            if path in self.tree.nodes and not self.tree.is_folder(path):
                del self.tree.nodes[path]
        self.tree.remove_empty(gone - stay)
        for name in replaced:
            start = dpkg.information(self.before.packages[name])
            # "python3." begins the names of python3.11's files too.
            for path in [path for path in self.tree.nodes
                         if path.startswith(start) and "." not in path.removeprefix(start)]:
                del self.tree.nodes[path]

    def _put(self, deb: Deb) -> Stanza:
        """The files of a package; returns what dpkg is to know of it."""
        there = self.before.packages.get(deb.name)
        configured = dpkg.conffiles(there or {})
        sums = []
        for path, node in deb.files:
            place = self.before.place(path, deb.name)
            if path in deb.conffiles:
                assert node.piece
                sum_ = dpkg.md5(node.piece.read())
                sums.append(f"\n /{path} {sum_ if there else 'newconffile'}")
                if not there:
                    place += ".dpkg-new"
                elif self._is_changed(place, configured.get(f"/{path}")):
                    continue
            if not self._belongs_to_another(place, deb, node):
                self._replace(place, node)
        state = "install ok installed" if there else "install ok unpacked"
        stanza = {"Package": deb.name, "Status": state} | deb.stanza
        return stanza | ({"Conffiles": "".join(sums)} if sums else {})

    def _is_changed(self, place: str, original: str | None) -> bool:
        """Whether somebody changed a conffile, or took it away, after it was unpacked."""
        if original is None:
            return False
        node = self._nodes.get(place)
        return node is None or node.piece is None or dpkg.md5(node.piece.read()) != original

    def _belongs_to_another(self, place: str, deb: Deb, node: Node) -> bool:
        # Both packages of a pair have the path, and the last one that was unpacked got it.
        owners = self._owners.get(place, [])
        return bool(owners) and not node.member.isdir() and deb.name not in owners

    def _replace(self, place: str, node: Node) -> None:
        now = self.tree.nodes.get(place)
        if now and (now.member.isdir() or (node.member.isdir() and now.member.issym())):
            return
        # A script may have given the file another owner, or a capability.
        twin = self._nodes.get(place) or self._nodes.get(
            place.replace(self.new.triplet, self.old.triplet)
        )
        if twin and twin.piece and node.piece:
            node = Node(same_owner(node.member, twin.member), node.piece)
        self.tree.nodes[place] = node

    def _database(self, deb: Deb) -> None:
        start = dpkg.information(deb.stanza)
        listed = ["/."] + [
            f"/{path}" for path, node in deb.files
            if path and not self._belongs_to_another(
                self.before.place(path, deb.name), deb, node)
        ]  # fmt: skip
        self.tree.write(f"{start}list", "".join(f"{line}\n" for line in listed).encode(
            "utf-8", "surrogateescape"))  # fmt: skip
        for name, (mode, content) in deb.control.items():
            self.tree.write(start + name, content, mode)

    def _automatic(self, wanted: set[str]) -> None:
        """apt's list of packages that nobody asked for."""
        path = "var/lib/apt/extended_states"
        text = self.tree.read(path).replace(
            f"Architecture: {self.old.debian}\n", f"Architecture: {self.new.debian}\n"
        )
        for deb in self.debs:
            if deb.name not in self.before.packages and deb.name not in wanted:
                text += f"Package: {deb.name}\nArchitecture: {self.new.debian}\n"
                text += "Auto-Installed: 1\n\n"
        self.tree.write(path, text.encode())

    def _compile(self) -> None:
        """Python's compiled files, which scripts made, know the times of their sources."""
        for match in list(filter(None, map(_COMPILED.fullmatch, self.tree.nodes))):
            path, source = match[0], self.tree.final(f"{match['folder']}/{match['name']}.py")
            if self.tree.nodes.get(source) is self._nodes.get(source):
                continue
            compiled = self.tree.nodes.pop(path)
            was, now = self._nodes.get(source), self.tree.nodes.get(source)
            if compiled.piece and was and was.piece and now and now.piece:
                code, time = compiled.piece.read(), int(now.member.mtime) & 0xFFFFFFFF
                if was.piece.read() == now.piece.read() and code[4:8] == bytes(4):
                    self.tree.nodes[path] = compiled
                    self.tree.write(path, code[:8] + time.to_bytes(4, "little") + code[12:])

    def _drop(self) -> list[str]:
        owned = {self.before.place(path, deb.name) for deb in self.debs for path, _ in deb.files}
        dropped = sorted(self._of_old(owned))
        for path in dropped:
            if not self.tree.is_folder(path):
                del self.tree.nodes[path]
        self.tree.remove_empty(dropped)
        labels.multilib(self.tree)
        return dropped

    def _of_old(self, owned: set[str]) -> Iterator[str]:
        for path in self.tree.nodes:
            if self.old.triplet in path.split("/") and path not in owned:
                yield path

