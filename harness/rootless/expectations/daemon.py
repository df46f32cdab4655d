"""Starting the daemon: --experimental, and the boot (P3, M18, D15)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations import requirements
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.sources import MANUAL, MOBY, PHOTON
from harness.rootless.expectations.start import (
    needs_daemon,
    needs_engine,
    needs_tool,
    start,
    start_failure,
)
from harness.rootless.expectations.versions import engine_at_least
from harness.rootless.traits import assume

USAGE = f"{MOBY}, 'Daemon'"
NEVER = "not running, nor after a login"


@rule("M18", source=USAGE)
@needs_engine
def without_experimental(facts: Facts) -> Prediction:
    """Starting without --experimental: ``starts``, ``refused``, or ``fails: REASON``."""
    return _experimental(facts)


@rule("P3", source=f"{PHOTON}, 'Introduction'")
@needs_engine
def stable(facts: Facts) -> Prediction:
    """Starting without --experimental: ``refused`` while it was experimental."""
    return _experimental(facts)


def _experimental(facts: Facts) -> Prediction:
    outcome = start(facts)
    if outcome == "starts" and not engine_at_least(facts, "20.10"):
        outcome = "refused"
    return Prediction(outcome, f"engine {facts.engine}, start: {start(facts)}")


@rule("M18.accepted", source=USAGE)
@needs_engine
def with_experimental(facts: Facts) -> Prediction:
    """Starting with --experimental: ``starts``, or ``fails: REASON``."""
    return Prediction(start(facts), f"engine {facts.engine}")


@rule("M18.start", source=USAGE)
@needs_daemon
def answers(facts: Facts) -> Prediction:
    """Whether the daemon answers `docker version` after dockerd-rootless.sh was started."""
    return Prediction(True, f"engine {facts.engine}, start: {start(facts)}")


def _after_boot(facts: Facts, lingering: bool) -> Prediction:
    if not facts.user_session:
        return not_applicable("no systemd user session: no unit to start")
    # The tool was content before the boot, when the module was loaded that it asks for.
    asked = {f"{requirements.required_module(facts)}-module": "loaded"}
    outcome = requirements.install(assume(facts, asked), force=True)
    if outcome != "installed":
        return not_applicable(f"install does not succeed here: {outcome}")
    because = f"linger {'on' if lingering else 'off'}, the unit is enabled"
    if reason := start_failure(facts):
        because += f", and the daemon does not start: {reason}"
        return Prediction("not running" if lingering else NEVER, because)
    return Prediction("running" if lingering else "not running", because)


@rule("D15.with_linger", source=f"{MANUAL}, 'Daemon'")
@needs_tool
def with_linger(facts: Facts) -> Prediction:
    """After `loginctl enable-linger` and a reboot without a login: ``running`` or ``not
    running``, seen from root.  Of the facts after the boot: a module that was loaded by hand
    is not there any more, and legacy iptables does not load it."""
    return _after_boot(facts, lingering=True)


@rule("D15.without", source=f"{MANUAL}, 'Daemon'")
@needs_tool
def without_linger(facts: Facts) -> Prediction:
    """The same with linger off; NEVER where a login does not start it either."""
    return _after_boot(facts, lingering=False)


def _script_refuses(key: str, since: str, said: str, observe: str) -> None:
    def predict(facts: Facts) -> Prediction:
        because = f"the script of engine {facts.engine}"
        if not engine_at_least(facts, since):
            return not_applicable(f"{because} does not look; that of {since} does")
        return Prediction(f"{said}, exit 1", because)

    predict.__doc__ = f"{observe}: the last thing it prints, and its exit status."
    rule(key, source="dockerd-rootless.sh")(needs_daemon(predict))


_script_refuses("M18.as_root", "20.10.6",
                "This script must be executed as a non-privileged user",
                "dockerd-rootless.sh run by root")  # fmt: skip
_script_refuses("M18.no_runtime_directory", "20.10.10",
                "XDG_RUNTIME_DIR needs to be set and writable",
                "dockerd-rootless.sh run by the user, with XDG_RUNTIME_DIR unset")  # fmt: skip
