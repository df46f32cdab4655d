"""Who else gets at what is the user's: the modes of files, and who gets through to an engine."""

from __future__ import annotations

import json

from harness.guest.guest import Guest
from harness.guest.probe import run_script, script

SHOWN = 3  # accounts by name, of those who get through to one socket
READ_OR_WRITE, WRITE = 0o006, 0o002


def opened(guest: Guest, *paths: str, bits: int = READ_OR_WRITE) -> tuple[str, str]:
    """A remark on those of *paths* that are another's, or whose modes let people who are neither
    owner nor of the group do what *bits* say; and the look at them."""
    look = guest.root.run("stat", "-c", "%a %U %n", *paths, check=False)
    seen = [line.split(maxsplit=2) for line in look.stdout.splitlines()]
    remarks = {
        "open to others": [path for mode, _, path in seen if int(mode, 8) & bits],
        "another's": [path for _, owner, path in seen if owner != guest.access.user],
    }
    told = "".join(f", {what}: {' '.join(where)}" for what, where in remarks.items() if where)
    return told, look.transcript


def others_answered(guest: Guest) -> tuple[str, str]:
    """Who else than root and the user gets through to an engine, containerd or RootlessKit, the
    user to one of root's, and where the API answers anybody: ``none``, or where and whom."""
    seen = run_script(
        guest.root, script("guest_answers.py", "harness.rootless"), guest.access.user,
        str(guest.scale),
    )
    found = [
        f"{path} to {' '.join(names[:SHOWN])}{' and others' if names[SHOWN:] else ''}"
        for path, names in sorted(seen["sockets"].items())
    ]
    found += [f"tcp {port}" for port in sorted({port for _, port, *_ in seen["ports"]})]
    return "; ".join(found) or "none", json.dumps(seen)
