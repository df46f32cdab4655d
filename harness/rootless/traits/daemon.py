"""Traits of the daemon's settings and of what earlier daemons left behind."""

from __future__ import annotations

from dataclasses import replace

from harness.guest.facts import Facts
from harness.rootless.traits.model import add, add_words

CGROUP_OPTION = "native.cgroupdriver="
_TOLD_APART = ("storage-driver", "exec-opts")  # by traits of their own


def _change_storage_driver(facts: Facts, value: str) -> Facts:
    rest = {k: v for k, v in facts.daemon_json.items() if k != "storage-driver"}
    setting = {} if value == "unset" else {"storage-driver": value}
    return replace(facts, daemon_json={**rest, **setting})


def _options(facts: Facts) -> list[str]:
    return [str(option) for option in facts.daemon_json.get("exec-opts", ())]


def _cgroup_driver(facts: Facts) -> str:
    found = [o for o in _options(facts) if o.startswith(CGROUP_OPTION)]
    return found[-1].removeprefix(CGROUP_OPTION) if found else "unset"


def _change_cgroup_driver(facts: Facts, value: str) -> Facts:
    options = [o for o in _options(facts) if not o.startswith(CGROUP_OPTION)]
    if value != "unset":
        options.append(CGROUP_OPTION + value)
    rest = {k: v for k, v in facts.daemon_json.items() if k != "exec-opts"}
    return replace(facts, daemon_json={**rest, **({"exec-opts": options} if options else {})})


def _change_settings(facts: Facts, value: list[str]) -> Facts:
    kept = {name: facts.daemon_json.get(name, "") for name in value}
    told = {k: v for k, v in facts.daemon_json.items() if k in _TOLD_APART}
    return replace(facts, daemon_json={**told, **kept})


add(
    "storage-driver-setting",
    "storage-driver of ~/.config/docker/daemon.json",
    lambda f: str(f.daemon_json.get("storage-driver", "unset")),
    _change_storage_driver,
    "unset",
    "overlay2",
    "vfs",
    open=True,
)
add(
    "cgroup-driver-setting",
    f"{CGROUP_OPTION} of exec-opts in ~/.config/docker/daemon.json",
    _cgroup_driver,
    _change_cgroup_driver,
    "unset",
    "systemd",
    "cgroupfs",
    open=True,
)
add_words(
    "daemon-settings",
    "what else ~/.config/docker/daemon.json sets",
    lambda f: [name for name in f.daemon_json if name not in _TOLD_APART],
    _change_settings,
    "data-root",
)
add_words(
    "driver-directories",
    "storage drivers that left data in the data root",
    lambda f: list(f.existing_driver_dirs),
    lambda f, v: replace(f, existing_driver_dirs=tuple(v)),
    "overlay2",
    "vfs",
)
