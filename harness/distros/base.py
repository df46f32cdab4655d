"""What a distro is to the harness: names, packages, hints, documented traits."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from harness.errors import UsageError
from harness.matrix import Cell

S390X = (
    "Docker manual, rootless mode: not for s390x, as no static packages of the rootless extras "
    "are published for it"
)
NO_IMAGE = "it has no recipe yet"
NO_RECIPE = "its image recipe is not written yet"
# 20.10.24 of docker.io=20.10.24+dfsg1-1 and of docker-ce=5:20.10.24~3-0
_UPSTREAM = re.compile(r"=(?:\d+:)?(\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class Hint:
    """A remedy for one trait (harness/rootless/traits), its commands word for word as the source
    gives them, except that a leading ``sudo`` is left out: they are run as root."""

    name: str
    trait: str
    source: str
    commands: tuple[str, ...]  # each a piece of shell, in order
    user: str = ""  # the document's user, in whose place the guest's own is put

    def commands_for(self, user: str) -> tuple[str, ...]:
        """The commands, for the user *user*."""
        if not self.user:
            return self.commands
        return tuple(command.replace(self.user, user) for command in self.commands)


@dataclass(frozen=True)
class Mode:
    """Another way to boot a release.  ``traits`` are those documented to differ then.
    ``unsupported`` is why it cannot be, where it cannot."""

    kernel_arguments: str = ""
    traits: Mapping[str, str] = field(default_factory=dict)
    unsupported: str = ""


@dataclass(frozen=True)
class Distro:
    """One release of one distro.

    ``traits`` are the values documented or once probed for a guest at the state `prepared`;
    a probed value that differs is drift.  A trait that is not listed cannot drift.
    """

    name: str
    release: str
    title: str
    arches: tuple[str, ...]  # for which an image exists or could be made
    package_manager: str  # one of harness.packages.MANAGERS
    engine_package: str
    packages: tuple[str, ...]  # the documents' prerequisites and the engine, one installation
    recipe: str = ""  # images/RECIPE.toml; empty while there is none
    recipe_arches: tuple[str, ...] = ()  # those that the recipe builds
    hints: tuple[Hint, ...] = ()  # on the way to the state `prepared`, in this order
    remedies: tuple[Hint, ...] = ()  # the others: for scenarios that induce the need
    traits: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, Mode] = field(default_factory=dict)  # by name, beside the usual one
    unsupported: Mapping[str, str] = field(default_factory=lambda: {"s390x": S390X})
    twin: Mapping[str, str] | None = None  # images/twins/ID.toml: the traits that are its base's
    before: tuple[Hint, ...] = ()  # hints that come before the packages
    # Package → what it has to bring, of what rootless mode needs, as measured.
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unreachable: str = NO_IMAGE  # why no cell of it can boot, while ``recipe`` is empty

    @property
    def id(self) -> str:
        return f"{self.name}-{self.release}"

    def hint(self, name: str) -> Hint:
        """One of the hints or remedies."""
        for hint in (*self.before, *self.hints, *self.remedies):
            if hint.name == name:
                return hint
        raise UsageError(f"{self.id} has no hint {name!r}")

    def without(self, names: Collection[str]) -> Distro:
        """The distro as if its documents did not have the hints of these names."""
        before, hints = (
            tuple(hint for hint in some if hint.name not in names)
            for some in (self.before, self.hints)
        )
        return replace(self, before=before, hints=hints)

    def among(self, names: Collection[str]) -> list[str]:
        """Those of *names* that are hints on the way to `prepared`."""
        return [hint.name for hint in (*self.before, *self.hints) if hint.name in names]

    def hints_for(self, trait: str) -> tuple[Hint, ...]:
        """Every hint and remedy that cures a trait."""
        return tuple(
            hint for hint in (*self.before, *self.hints, *self.remedies) if hint.trait == trait
        )

    def as_twin(self) -> Distro:
        """The distro as its twin is documented: its kernel and systemd are the base's."""
        return replace(self, traits={**self.traits, **(self.twin or {})})

    def mode_of(self, cell: Cell) -> Mode:
        """The mode that *cell* names; the usual one where it names none."""
        return self.modes[cell.mode] if cell.mode else Mode()

    def traits_of(self, cell: Cell) -> Mapping[str, str]:
        """The documented traits of a cell, in its mode; its engine may have another version, and
        then a setup tool of no documented one, and other tools with it."""
        traits = {**self.traits, **self.mode_of(cell).traits}
        found = _UPSTREAM.search(cell.engine)
        if not found:
            return traits
        for name in ("setup-tool-version", "rootlessctl"):
            traits.pop(name, None)
        return {**traits, "engine": found[1]}
