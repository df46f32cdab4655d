"""Publishing ports from the rootless daemon."""

from __future__ import annotations

import pytest

from harness.guest.guest import Guest
from harness.rootless.engine import Docker
from harness.rootless.expectations import ports
from harness.session.decide import Decider

pytestmark = [pytest.mark.ports]



@pytest.mark.claims("P15.low_port", "P15.exit")
def test_port_80(guest: Guest, docker: Docker, decide: Decider) -> None:
    """Ports below the boundary cannot be published by a user."""
    result = docker.run("-p", "80:80", "busybox", "true", check=False)
    seen = "published" if result.ok else "refused" if ports.REFUSED in result.stderr else "failed"
    decide("P15.low_port", seen, result)
    decide("P15.exit", result.exit_status, result)
