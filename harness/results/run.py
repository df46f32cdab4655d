"""The environment of a run, and a run read back.  Frozen, JSON-ready data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.results.model import Row


@dataclass(frozen=True)
class HostInfo:
    """The machine the guests ran on."""

    kernel: str
    qemu: str  # version, "" if unknown
    libvirt: str
    acceleration: str  # kvm or tcg
    acceleration_reason: str = ""  # why this one


@dataclass(frozen=True)
class RunInfo:
    """One invocation."""

    id: str
    started: str  # ISO 8601 with an offset
    command: tuple[str, ...]  # argv
    harness_version: str
    host: HostInfo


@dataclass(frozen=True)
class ImageInfo:
    """The disk a cell booted from."""

    name: str  # file name
    digest: str
    source: str  # upstream, built or twin
    origin: str = ""  # URL of an upstream one, and why it was believed; what a twin is made of


@dataclass(frozen=True)
class CellInfo:
    """One cell as this run found it."""

    cell: str
    status: str  # as in harness.matrix.Support: available, unsupported or unreachable
    reason: str = ""
    image: ImageInfo | None = None
    engine: str = ""  # dockerd's version
    packages: Mapping[str, str] = field(default_factory=dict)  # name → version
    facts: Mapping[str, Any] = field(default_factory=dict)  # Facts.to_json()
    emulated: bool = False  # its architecture is not the host's

    @property
    def twin(self) -> bool:
        """Whether the guest only stands in for the distro."""
        return self.image is not None and self.image.source == "twin"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        plain = dataclasses.replace(self, packages=dict(self.packages), facts=dict(self.facts))
        return dataclasses.asdict(plain)


@dataclass(frozen=True)
class Run:
    """What run.json holds."""

    info: RunInfo
    cells: tuple[CellInfo, ...] = ()
    rows: tuple[Row, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    finished: str = ""  # "" while it runs, or if it was killed
    exit_status: int | None = None
    complete: bool = False

    def to_json(self) -> dict[str, Any]:
        """The document of docs/run-json.md, without its schema version."""
        info = dataclasses.asdict(self.info)
        info["command"] = list(self.info.command)
        return {
            **info,
            "finished": self.finished or None,
            "complete": self.complete,
            "exit_status": self.exit_status,
            "counts": dict(self.counts),
            "cells": [cell.to_json() for cell in self.cells],
            "rows": [row.to_json() for row in self.rows],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        """The run of a document made by :meth:`to_json`.  Raises :class:`msgspec.ValidationError`
        where it is none."""
        stored = msgspec.convert(data, _Stored)
        return cls(
            info=msgspec.convert(data, RunInfo), cells=stored.cells, rows=stored.rows,
            counts=stored.counts, finished=stored.finished or "",
            exit_status=stored.exit_status, complete=stored.complete,
        )  # fmt: skip


@dataclass(frozen=True)
class _Stored(RunInfo):
    """The document: all of a run side by side."""

    cells: tuple[CellInfo, ...]
    rows: tuple[Row, ...]
    counts: Mapping[str, int]
    finished: str | None
    exit_status: int | None
    complete: bool
