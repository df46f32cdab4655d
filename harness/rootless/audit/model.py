"""What the audit saw and what it concludes: frozen data that survives JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.guest.capabilities import xattr_text

Verdict = Literal["rootless", "not rootless", "inconclusive"]
IdMap = tuple[tuple[int, int, int], ...]  # inside, outside, count: lines of uid_map


@dataclass(frozen=True)
class Executable:
    path: str
    owner: int
    mode: int
    capabilities: str = ""
    group: str = ""  # by name; of executions only

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def setuid(self) -> bool:
        return bool(self.mode & 0o4000)

    @property
    def setgid(self) -> bool:
        """Without the bit to execute of the group, the other one means something else."""
        return self.mode & 0o2010 == 0o2010

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Executable:
        capabilities = xattr_text(bytes.fromhex(data["xattr"]))
        group = data.get("group", "")
        return cls(data["path"], data["owner"], data["mode"], capabilities, group)


@dataclass(frozen=True)
class Process:
    """One process of R or of the container; all numbers as the initial namespaces give them.

    ``roles``: init, container, ancestor, api-socket, daemon, daemon-ancestor, helper,
    same-userns.
    """

    pid: int
    comm: str
    uids: tuple[int, ...]  # real, effective, saved, file system
    permitted: int
    effective: int
    ambient: int
    userns: int
    roles: tuple[str, ...]
    executable: Executable
    uid_map: IdMap
    gid_map: IdMap
    groups: tuple[str, ...] = ()  # its effective and supplementary groups on the host, by name

    def __str__(self) -> str:
        return f"{self.comm}[{self.pid}]"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Process:
        names = ("pid", "comm", "permitted", "effective", "ambient", "userns")
        return cls(
            **{name: data[name] for name in names},
            uid_map=tuple((a, b, c) for a, b, c in data["uid_map"]),
            gid_map=tuple((a, b, c) for a, b, c in data["gid_map"]),
            uids=tuple(data["uids"]),
            roles=tuple(data["roles"]),
            groups=tuple(data.get("groups", ())),
            executable=Executable.from_json(data["executable"]),
        )


@dataclass(frozen=True)
class Execution:
    """An execution of a file with a setuid or setgid bit or capabilities, and who executed it."""

    executable: Executable
    comm: str
    uids: tuple[int, ...]
    userns: int
    alive: bool  # the process still runs that file now that the container runs

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Execution:
        file = Executable.from_json(data)
        return cls(file, data["comm"], tuple(data["uids"]), data["userns"], data["alive"])


@dataclass(frozen=True)
class Userns:
    inode: int
    owner: int  # NS_GET_OWNER_UID


@dataclass(frozen=True)
class Evidence:
    subject: str
    from_initial_namespaces: bool
    user: str
    user_id: int
    groups: tuple[str, ...]
    processes: tuple[Process, ...]
    userns: tuple[Userns, ...]  # from the container's up to, not including, the initial one
    userns_error: str
    executions: tuple[Execution, ...] | None  # None: not watched
    executions_seen: int  # of whatever kind
    not_watched: str = ""  # why
    initial_userns: int = 0xEFFFFFFD
    helpers: Mapping[str, str] = field(default_factory=dict)  # name → path, of those known

    @property
    def init(self) -> Process:
        return next(p for p in self.processes if "init" in p.roles)

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], subject: str = "", helpers: Mapping[str, str] | None = None
    ) -> Evidence:
        """From what ``guest_collect.py`` printed."""
        seen = data["executions"]
        lost = "the kernel's event queue overflowed" if data["overflow"] else ""
        return cls(
            subject=subject or data.get("subject", ""),
            from_initial_namespaces=all(data["observer"].values()),
            user=data["user"]["name"],
            user_id=data["user"]["uid"],
            groups=tuple(data["user"]["groups"]),
            processes=tuple(Process.from_json(p) for p in data["processes"]),
            userns=tuple(Userns(**n) for n in data["userns"]["namespaces"]),
            userns_error=data["userns"]["error"],
            executions=None if seen is None else tuple(Execution.from_json(e) for e in seen),
            executions_seen=data["executions_seen"] or 0,
            not_watched=lost or data.get("not_watched", ""),
            helpers=helpers or {},
        )


@dataclass(frozen=True)
class AuditTest:
    """``passed`` None: undecided here, ``why`` says why.  ``flagged``: passes, but look."""

    number: int
    name: str
    passed: bool | None
    why: str
    flagged: str = ""


@dataclass(frozen=True)
class AuditReport:
    verdict: Verdict
    subject: str
    tests: tuple[AuditTest, ...]

    @property
    def failed(self) -> tuple[int, ...]:
        return tuple(test.number for test in self.tests if test.passed is False)

    def test(self, number: int) -> AuditTest:
        return next(test for test in self.tests if test.number == number)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        words = {True: "pass", False: "FAIL", None: "   -"}
        lines = [f"{self.subject or 'container'}: {self.verdict}"]
        for test in self.tests:
            flag = f" (flagged: {test.flagged})" if test.flagged else ""
            lines.append(f"  {test.number} {words[test.passed]} {test.name}: {test.why}{flag}")
        return "\n".join(lines)
