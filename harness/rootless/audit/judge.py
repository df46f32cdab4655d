"""Is it rootless at all?  Six tests, each a pure function of the evidence.

A test of the uid_map alone, or of the container's own user id, is not enough: a daemon that
remaps its containers passes the first, ``docker run --user`` the second, and both run as root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.guest.capabilities import mask_names
from harness.rootless.audit.model import (
    AuditReport,
    AuditTest,
    Evidence,
    Executable,
    Execution,
    Process,
    Verdict,
)

NET_BIND_SERVICE = 1 << 10
PRIVILEGE_ALLOWED = frozenset({"newuidmap", "newgidmap", "lxc-user-nic"})
_AS_GOOD_AS_ROOT = "root docker sudo wheel admin lxd incus incus-admin libvirt disk"
ROOT_EQUIVALENT = frozenset(_AS_GOOD_AS_ROOT.split())
SUDO = frozenset({"sudo", "doas", "pkexec", "su", "run0"})


def audit(evidence: Evidence) -> AuditReport:
    if not evidence.from_initial_namespaces:
        why = "not watched from the initial user and PID namespaces"
        tests = tuple(AuditTest(n, name, None, why) for n, (name, _) in enumerate(TESTS, 1))
    else:
        tests = tuple(
            AuditTest(number, name, *decide(evidence))
            for number, (name, decide) in enumerate(TESTS, 1)
        )
    return AuditReport(verdict(tests), evidence.subject, tests)


def verdict(tests: Iterable[AuditTest]) -> Verdict:
    answers = [test.passed for test in tests]
    if False in answers:
        return "not rootless"
    return "inconclusive" if None in answers else "rootless"


Decision = tuple[bool | None, str, str]  # passed, why, flagged


def no_root_process(evidence: Evidence) -> Decision:
    bad = [p for p in evidence.processes if 0 in p.uids]
    if bad:
        return False, f"run as root on the host: {_list(bad)}", ""
    return True, f"none of {len(evidence.processes)} processes has a user id of 0", ""


def no_host_capability(evidence: Evidence) -> Decision:
    """Capabilities inside a user namespace are harmless to the host and not counted."""
    bad, flagged = [], []
    for process in evidence.processes:
        held = process.permitted | process.effective | process.ambient
        if process.userns != evidence.initial_userns or not held:
            continue
        if held == NET_BIND_SERVICE and process.executable.name == "rootlesskit":
            flagged.append(f"{process} holds cap_net_bind_service")
        else:
            bad.append(f"{process} ({_capabilities(held)})")
    if bad:
        return False, f"hold capabilities on the host: {_list(bad)}", ""
    return True, "no process holds a capability in the initial user namespace", _list(flagged)


def userns_not_owned_by_root(evidence: Evidence) -> Decision:
    if evidence.init.userns == evidence.initial_userns:
        return None, "the container is in the initial user namespace: there is none to own", ""
    owned = [str(ns.inode) for ns in evidence.userns if ns.owner == 0]
    if owned:
        return False, f"user namespaces owned by root: {_list(owned)}", ""
    if evidence.userns_error:
        return None, evidence.userns_error, ""
    owners = ", ".join(str(ns.owner) for ns in evidence.userns)
    return True, f"owners of the user namespaces, from the container outwards: {owners}", ""


def root_mapped(process: Process) -> str:
    """Which map of the process contains the host's root or its group, and how; or nothing."""
    for name, ranges in (("uid_map", process.uid_map), ("gid_map", process.gid_map)):
        if any(outside <= 0 < outside + count for _, outside, count in ranges):
            return f"the {name} of {process} maps to the host's 0: {ranges}"
    return ""


def root_not_mapped(evidence: Evidence) -> Decision:
    init = evidence.init
    others = [p for p in evidence.processes if p.userns not in (evidence.initial_userns, 0)]
    for process in (init, *others):
        if mapped := root_mapped(process):
            return False, mapped, ""
    if not init.uid_map:
        return None, f"the uid_map of {init} is empty or cannot be read", ""
    return True, f"the uid_map of {init} is {init.uid_map}", ""


def no_gain_of_privilege(evidence: Evidence) -> Decision:
    if evidence.executions is None or evidence.not_watched:
        return None, evidence.not_watched or "executions were not watched", ""
    if not evidence.executions_seen:
        return None, "the watcher saw no execution at all, so it did not work", ""
    gains = [e for e in evidence.executions if gains_privilege(e, evidence.initial_userns)]
    bind = [e for e in gains if _only_binds_ports(e)]
    bad = [e for e in gains if e not in bind and not is_helper(e.executable, evidence)]
    if bad:
        return False, f"gained privilege: {_list(_told(e) for e in bad)}", ""
    alive = [e for e in gains if e.alive and e not in bind]
    if alive:
        return False, f"still alive beside the container: {_list(_told(e) for e in alive)}", ""
    names = _list(sorted({e.executable.name for e in gains})) or "nothing"
    flagged = _list(_told(e) for e in bind)
    return True, f"of {evidence.executions_seen} files opened to execute, gained: {names}", flagged


def no_root_equivalent_user(evidence: Evidence) -> Decision:
    if evidence.user_id == 0:
        return False, f"{evidence.user} is root", ""
    bad = sorted(ROOT_EQUIVALENT.intersection(evidence.groups))
    if bad:
        return False, f"{evidence.user} is in groups as good as root: {_list(bad)}", ""
    # What a login or newgrp gave need not be in the database.
    own = [p for p in evidence.processes if p.uids[0] == evidence.user_id]
    held = [p for p in own if ROOT_EQUIVALENT.intersection(p.groups)]
    if held:
        return False, f"processes of {evidence.user} hold groups as good as root: {_list(held)}", ""
    used = [e for e in evidence.executions or () if e.executable.name in SUDO]
    used = [e for e in used if gains_privilege(e, evidence.initial_userns)]
    if used:
        return False, f"used {_list(_told(e) for e in used)}", ""
    return (
        True,
        f"{evidence.user} is in {_list(evidence.groups) or 'no group'} and used no sudo",
        "",
    )


TESTS: tuple[tuple[str, Callable[[Evidence], Decision]], ...] = (
    ("no process is root", no_root_process),
    ("no capability on the host", no_host_capability),
    ("no user namespace owned by root", userns_not_owned_by_root),
    ("host root is not mapped", root_not_mapped),
    ("only helpers gain privilege", no_gain_of_privilege),
    ("the user is not as good as root", no_root_equivalent_user),
)


def gains_privilege(execution: Execution, initial_userns: int) -> bool:
    """Whether this execution gave the process anything on the host.

    In a child user namespace the setuid bit of a file whose owner is not mapped is ignored, and
    file capabilities count only there (dockerd-rootless.sh runs the setuid mount(8) like that).
    Who was root before gains nothing.  A setgid bit counts for a group that is as good as root.
    """
    unknown = 0  # a namespace that could not be read: suppose the worst
    if execution.userns not in (initial_userns, unknown) or 0 in execution.uids[1:2]:
        return False
    file = execution.executable
    if file.setgid and file.group in ROOT_EQUIVALENT:
        return True
    return bool(file.capabilities) or (file.setuid and file.owner not in execution.uids[:1])


def is_helper(file: Executable, evidence: Evidence) -> bool:
    """Whether it may gain privilege.  A file of a helper's name is none at another place than where
    the machine has the helper."""
    if file.name not in PRIVILEGE_ALLOWED:
        return False
    installed = evidence.helpers.get(file.name, file.path)
    return installed.removeprefix("/usr") == file.path.removeprefix("/usr")


def _only_binds_ports(execution: Execution) -> bool:
    file = execution.executable
    names = file.capabilities.partition("=")[0]
    plain = not (file.setuid or file.setgid)
    return file.name == "rootlesskit" and plain and names == "cap_net_bind_service"


def _told(execution: Execution) -> str:
    file = execution.executable
    how = file.capabilities or (
        f"setuid {file.owner}" if file.setuid else f"setgid {file.group}"
    )
    who = execution.uids[0] if execution.uids else "unknown"
    return f"{file.path} ({how}) by {execution.comm}, user {who}"


def _capabilities(mask: int) -> str:
    names = mask_names(mask)
    return ", ".join(names) if len(names) < 4 else f"{len(names)} capabilities"


def _list(things: Iterable[Process | str]) -> str:
    return ", ".join(str(thing) for thing in things)
