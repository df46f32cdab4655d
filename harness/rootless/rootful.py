"""The system's daemon, as a control: what a rootful engine does on the same guest."""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout
from harness.rootless import engine, slow
from harness.rootless.engine import Docker

START_SECONDS = 60.0
CONFIG = "/etc/docker/daemon.json"
UNIT = "docker.service"
# States of a unit that may yet come up.
LATE = ("activating", "reloading", "")


def start(guest: Guest, settings: Mapping[str, object] | None = None) -> Docker:
    """:func:`up`, with the image."""
    daemon = up(guest, settings)
    daemon.import_image()
    return daemon


def up(guest: Guest, settings: Mapping[str, object] | None = None) -> Docker:
    """Start the system's daemon, or start it anew, with *settings*.

    Raises :class:`GuestRefusal` where its unit fails, or says that it is ready and nobody answers,
    and :class:`CommandTimeout` or :class:`TestbedError` where it is only late: it is a control,
    and says nothing without its answer.
    """
    if settings is not None:
        guest.root.write(CONFIG, json.dumps(settings))
    daemon = engine.rootful(guest)
    begun = guest.root.run(
        "systemctl", "restart", UNIT, timeout=START_SECONDS, check=False
    )
    try:
        guest.wait_until(daemon.answers, "the system's daemon", START_SECONDS)
    except CommandTimeout as error:
        log = guest.root.run(
            "journalctl", "--no-pager", "-o", "cat", "-n", "200", "-u", UNIT, check=False
        ).stdout
        shown = guest.root.run("systemctl", "show", "-p", "ActiveState", UNIT, check=False).stdout
        state = shown.strip().removeprefix("ActiveState=")
        if state == "active":
            what = "the system's daemon runs and does not answer"
            raise GuestRefusal(what, detail=log) from error
        if state not in LATE:
            slow.check_containerd(guest, log)
            raise GuestRefusal("the system's daemon does not start", detail=log) from error
        detail = f"{begun.transcript}\n{log}"
        raise CommandTimeout(
            f"the system's daemon: {error.what}", detail=detail, waited=error.waited
        ) from error
    return daemon
