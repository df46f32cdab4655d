"""The system's daemon, as a control: what a rootful engine does on the same guest."""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.errors import GuestRefusal, TestbedError
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout
from harness.rootless import engine
from harness.rootless.engine import Docker

START_SECONDS = 60.0
CONFIG = "/etc/docker/daemon.json"
UNIT = "docker.service"


def start(guest: Guest, settings: Mapping[str, object] | None = None) -> Docker:
    """Start the system's daemon, or start it anew, with *settings* and the image.

    Raises :class:`GuestRefusal` where its unit fails, and :class:`TestbedError` where it is only
    late: it is a control, and says nothing without its answer.
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
        failed = guest.root.run("systemctl", "is-failed", UNIT, check=False)
        if failed.ok:
            log = guest.root.run("journalctl", "--no-pager", "-o", "cat", "-n", "40", "-u", UNIT)
            raise GuestRefusal("the system's daemon does not start", detail=log.stdout) from error
        raise TestbedError("the system's daemon does not start", detail=begun.transcript) from error
    daemon.import_image()
    return daemon
