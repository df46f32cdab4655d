"""Traits of the user: subordinate ids, groups, the login."""

from __future__ import annotations

from dataclasses import replace

from harness.guest.facts import Facts, IdRange
from harness.rootless.traits.model import add, add_flag, add_words, count, with_field

ROOT_EQUIVALENT_GROUPS = frozenset(
    ("root", "wheel", "sudo", "admin", "docker", "lxd", "incus-admin", "libvirt", "disk")
)


def _id_ranges(name: str, field: str) -> None:
    def ranges(facts: Facts) -> tuple[IdRange, ...]:
        return tuple(getattr(facts, field))

    def probe(facts: Facts) -> str:
        return str(sum(r.count for r in ranges(facts))) if ranges(facts) else "none"

    def change(facts: Facts, value: str) -> Facts:
        if value == "none":
            return with_field(facts, field, ())
        old = ranges(facts)
        start = old[0].start if old else 100000
        return with_field(facts, field, (IdRange(start, count(name, value)),))

    summary = f"how many ids /etc/{field} gives the user"
    add(name, summary, probe, change, "65536", "none", open=True)


def _change_groups(facts: Facts, value: list[str]) -> Facts:
    harmless = [name for name in facts.groups if name not in ROOT_EQUIVALENT_GROUPS]
    return replace(facts, groups=(*harmless, *value))


_id_ranges("subordinate-uids", "subuid")
_id_ranges("subordinate-gids", "subgid")
add_words(
    "user-groups",
    "groups of the user that amount to root",
    lambda f: [name for name in f.groups if name in ROOT_EQUIVALENT_GROUPS],
    _change_groups,
    "docker",
    "docker sudo",
)
add_flag("user-session", "`systemctl --user` answers", "user_session")
add(
    "runtime-directory",
    "XDG_RUNTIME_DIR of a login",
    lambda f: "set" if f.xdg_runtime_dir else "unset",
    lambda f, v: replace(f, xdg_runtime_dir=f"/run/user/{f.uid}" if v == "set" else ""),
    "set",
    "unset",
)
add_flag("linger", "the user's services start at boot", "lingering")
add_flag("fuse-device", "the user can open /dev/fuse", "fuse_device")
add_flag("rootful-socket", "the user's access to /var/run/docker.sock",
         "rootful_socket_writable", "writable", "not writable")
