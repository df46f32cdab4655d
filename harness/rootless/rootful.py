"""The system's daemon, as a control: what a rootful engine does on the same guest."""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.errors import TestbedError
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout
from harness.rootless import engine
from harness.rootless.engine import Docker

START_SECONDS = 60.0
CONFIG = "/etc/docker/daemon.json"


def start(guest: Guest, settings: Mapping[str, object] | None = None) -> Docker:
    """Start the system's daemon, or start it anew, with *settings* and the image.

    Raises :class:`TestbedError`: it is a control, and says nothing without its answer.
    """
    if settings is not None:
        guest.root.write(CONFIG, json.dumps(settings))
    daemon = engine.rootful(guest)
    begun = guest.root.run(
        "systemctl", "restart", "docker.service", timeout=START_SECONDS, check=False
    )
    try:
        guest.wait_until(daemon.answers, "the system's daemon", START_SECONDS)
    except CommandTimeout as error:
        raise TestbedError("the system's daemon does not start", detail=begun.transcript) from error
    daemon.import_image()
    return daemon
