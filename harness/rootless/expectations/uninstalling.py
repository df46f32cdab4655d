"""`uninstall`, `install` once more, and what either leaves (D8, D13)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations.install import INSTALL, needs_unit
from harness.rootless.expectations.model import Prediction, rule
from harness.rootless.expectations.promise import promise
from harness.rootless.expectations.sources import MANUAL
from harness.rootless.expectations.versions import tool_at_least

UNINSTALL = f"{MANUAL}, 'Uninstall'"

promise("D13.uninstall", "exit 0, daemon inactive, unit removed",
        "`uninstall`: its exit status, `systemctl --user is-active docker`, and whether the "
        "unit's file is there afterwards, a link that enables it, or a process of the daemon.",
        source=UNINSTALL, guard=needs_unit)
promise("D13.uninstall_keeps", "binaries data settings volume",
        "What `uninstall` leaves: ``binaries`` (dockerd, rootlesskit, the tool itself), ``data`` "
        "(the data root), ``settings`` (daemon.json as it was) and a ``volume``.",
        source=UNINSTALL, guard=needs_unit)
promise("D13.reinstall", "installed, with the image of before",
        "`install` after `uninstall`: in the words of requirements.py, and whether the image "
        "that was there before still is.", source=UNINSTALL, guard=needs_unit)
promise("D13.install_twice", "installed, unit untouched",
        "`install` where it has been installed: in the words of requirements.py, and ``unit "
        "untouched`` if the file's content, changed by hand, is the same afterwards.",
        source=INSTALL, guard=needs_unit)


@rule("D8.uninstall_blocked_keeps", source=UNINSTALL)
@needs_unit
def blocked(facts: Facts) -> Prediction:
    """`uninstall` of what is installed, without newuidmap: the exit status, and which of
    ``unit``, ``context`` and ``daemon`` (an active unit) are still there."""
    made = tool_at_least(facts, "20.10.6")
    value = f"exit 1, kept: unit{' context' if made else ''} daemon"
    return Prediction(value, f"newuidmap missing (setup tool of engine {facts.engine})")


@rule("D13.uninstall_context", source=UNINSTALL)
@needs_unit
def context(facts: Facts) -> Prediction:
    """The context that the client uses after `uninstall`, and whether ``rootless`` is ``left``,
    ``removed``, or was ``never made``."""
    made = tool_at_least(facts, "20.10.6")
    value = "default, rootless removed" if made else "default, rootless never made"
    return Prediction(value, f"setup tool of engine {facts.engine}")
