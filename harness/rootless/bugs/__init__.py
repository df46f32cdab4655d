"""Bugs that people reported of rootless Docker, each as something that a guest can be made to do.

A bug is data (:class:`Bug`); :func:`reproduce` shows it on a guest, and its absence too.
"""

from __future__ import annotations

from harness.rootless.bugs import identity, limits, modules, network, session, setting_up, storage
from harness.rootless.bugs.model import BUGS, Bug, Case, expected, find
from harness.rootless.bugs.reproduce import Report, Step, reproduce

__all__ = [
    "BUGS", "Bug", "Case", "Report", "Step", "expected", "find", "identity", "limits",
    "modules", "network", "reproduce", "session", "setting_up", "storage",
]  # fmt: skip
