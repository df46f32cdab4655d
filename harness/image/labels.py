"""An architecture's name, where Debian has written it down in a root."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import TestbedError
from harness.image.dpkg import ADMIN
from harness.image.tree import Tree

LOADERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
# Links in the root to directories in /usr, for the other ABIs that some architectures have.
MULTILIB = ("lib32", "lib64", "libo32", "libx32")
DIVERSIONS = (f"{ADMIN}/diversions", f"{ADMIN}/diversions-old")
# With paths, or names that end in ":amd64".
TEXTS = (
    *(f"{ADMIN}/{name}" for name in ("alternatives", "statoverride", "triggers")),
    *DIVERSIONS,
    "var/cache/debconf",
)


@dataclass(frozen=True)
class Names:
    """How Debian calls an architecture, its libraries' directories and what links programs."""

    debian: str
    triplet: str
    loader: str

    @classmethod
    def of(cls, arch: str, debian: str) -> Names:
        """Raises :class:`TestbedError` for an architecture that nothing is known of."""
        if arch not in LOADERS:
            raise TestbedError(f"the harness does not know what links programs of {arch}",
                               hint="docs/adding-a-distro.md")  # fmt: skip
        return cls(debian, f"{arch}-linux-gnu", LOADERS[arch])


def rename(tree: Tree, old: Names, new: Names) -> None:
    """In what dpkg, its helpers and debconf keep."""
    for name in TEXTS:
        for path in [name, *tree.below(name)]:
            if text := tree.read(path):
                text = text.replace(old.triplet, new.triplet).replace(old.loader, new.loader)
                text = text.replace(f":{old.debian}", f":{new.debian}")
                tree.write(path, text.encode("utf-8", "surrogateescape"))
    tree.write(f"{ADMIN}/arch", f"{new.debian}\n".encode())


def multilib(tree: Tree) -> None:
    """Remove what led to directories that are empty now."""
    for name in MULTILIB:
        tree.remove_empty([f"usr/{name}", name])
        link = tree.nodes.get(name)
        if link and link.member.issym() and f"usr/{name}" not in tree.nodes:
            del tree.nodes[name]
    for path in DIVERSIONS:
        # base-files of Debian 13 keeps others from making those links that it has not itself.
        lines = tree.read(path).splitlines()
        if not any(f"/.{name}.usr-is-merged" in lines for name in MULTILIB):
            continue
        for name in MULTILIB:
            if f"/{name}" not in lines and name not in tree.nodes:
                lines += [f"/{name}", f"/.{name}.usr-is-merged", "base-files"]
        tree.write(path, "".join(f"{line}\n" for line in lines).encode())
