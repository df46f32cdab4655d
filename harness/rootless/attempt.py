"""Attempts that may fail: what the setup tool says, and how starting the daemon ends.

Both answers are in the words that rules predict with, so a scenario hands them to ``decide``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout, Result
from harness.rootless import engine, processes, setuptool, slow
from harness.rootless.expectations import requirements, start
from harness.rootless.setuptool import ToolResult

# Ends when the daemon answers, or when dockerd-rootless.sh does; prints the log either way.
# Soon it asks less often, as Guest.wait_until does.  One that says that it listens, and is not
# there for twenty asks after that, is not slow.
_START = """
log="$HOME/$1"; shift
setsid dockerd-rootless.sh "$@" > "$log" 2>&1 < /dev/null &
pid=$!
asked=0 silent=0
while kill -0 "$pid" 2> /dev/null; do
    if docker version > /dev/null 2>&1; then echo "the daemon answers"; exit 0; fi
    asked=$((asked + 1))
    if grep -q "API listen on" "$log"; then silent=$((silent + 1)); fi
    if [ "$silent" -gt 20 ]; then
        echo "the daemon listens and does not answer"; cat "$log"; exit 1
    fi
    if [ "$asked" -lt 50 ]; then sleep 0.3; else sleep 3; fi
done
wait "$pid"
echo "dockerd-rootless.sh ended with $?"
cat "$log"
exit 1
"""

ENDED = re.compile(r"^dockerd-rootless\.sh ended with (\d+)$", re.MULTILINE)
SILENT = "the daemon listens and does not answer"

# What comes with whatever `check` finds missing, where it can be installed and where not.
ANNOUNCED = (
    "Missing system requirements. Run the following commands to",
    "Please install with a package manager.",
)
ROOTFUL = (
    "Aborting because rootful Docker (/var/run/docker.sock) is running and accessible."
    " Set --force to ignore."
)
ROOT_SHELL = "sudo sh -eux <<EOF\n"  # how the commands that the tool prints are to be run


@dataclass(frozen=True)
class Attempt:
    """``outcome`` in a rule's words, and what it was read from."""

    outcome: str
    evidence: str


def words_of_check(result: ToolResult) -> str:
    """What `check` answered, in the words of requirements.py."""
    if result.satisfied:
        return "satisfied"
    text = result.stdout + result.stderr
    if "XDG_RUNTIME_DIR" in result.stderr:
        # The status is the tool's 1, or the shell's own where it trips over the message.
        return f"refused: XDG_RUNTIME_DIR{'' if result.exit_status else ', exit 0'}"
    exit_status = "" if result.exit_status == 1 else f", exit {result.exit_status}"
    if ROOTFUL in text:
        return f"refused: rootful Docker{exit_status}"
    if missing := requirements.missing_in(text):
        return f"missing: {', '.join(missing)}{_faults(result)}{exit_status}"
    if "rootlesskit" in result.stderr:
        return f"smoke test fails{exit_status}"
    return "silent failure" if not text.strip() else "unknown answer"


def _faults(result: ToolResult) -> str:
    """What is wrong with how the tool tells of what is missing; nothing where it tells it right."""
    text = result.stdout + result.stderr
    if not any(words in text for words in ANNOUNCED):
        return ", unannounced"
    if ANNOUNCED[0] in text and not result.instructions:
        return ", no block"
    if result.instructions and not result.instructions.startswith(ROOT_SHELL):
        return ", not for a shell of root"
    return ""


def check(guest: Guest) -> Attempt:
    """Ask the setup tool, as the user, whether the requirements are met."""
    result = setuptool.run(guest.user, "check")
    return Attempt(words_of_check(result), result.transcript)


def words_of_start(result: Result) -> str:
    """How :data:`_START` ended, in the words of start.py; an exit status other than 1 is added."""
    if result.ok:
        return "starts"
    if SILENT in result.stdout.splitlines():
        return "fails: no answer"
    reason = start.reason_in(result.stdout + result.stderr) or "unknown reason"
    ended = ENDED.search(result.stdout)
    strange = f", exit {ended.group(1)}" if ended and ended.group(1) != "1" else ""
    return f"fails: {reason}{strange}"


def begin(guest: Guest, *flags: str, env: Mapping[str, str] | None = None) -> Attempt:
    """Start the daemon by hand, with *env* besides; one that runs already is ended before.

    The log is followed until the daemon answers or the starting script gives up.  It is started
    once more where all that was wrong may be that containerd was slow; if that does not help and
    it was at work, :class:`TestbedError`.  :class:`GuestRefusal` where the script spins.
    """
    if guest.facts.user_session:
        guest.user.run("systemctl", "--user", "stop", "docker.service", check=False)
    else:
        engine.end_by_hand(guest)
    for _ in range(2):
        try:
            result = guest.user.sh(
                f"PATH=/usr/bin:/sbin:/usr/sbin:$PATH{_START}", engine.MANUAL_LOG, *flags,
                env={**(env or {}), "DOCKER_HOST": engine.docker_host(guest)},
                timeout=engine.START_SECONDS, check=False,
            )  # fmt: skip
        except CommandTimeout as error:
            if not processes.spins(guest, error):
                raise
            raise GuestRefusal(error.what, detail=engine.daemon_log(guest)) from error
        if result.ok or not slow.late_containerd(result.stdout):
            break
    if not result.ok:
        slow.check_containerd(guest, result.stdout)
    return Attempt(words_of_start(result), "\n".join(
        ("$ dockerd-rootless.sh", result.stdout.strip(), result.stderr.strip())
    ).strip())  # fmt: skip
