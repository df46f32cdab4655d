# Python 3.6, few imports (each costs time under emulation), and printing is what it is for:
# ruff: noqa: T201
"""Runs in the guest as root, fed to ``python3 -I -``: what somebody who looks for a fault looks at.

Standard library of Python 3.6 only; the modules of the harness that it imports travel with it.  The
one argument is a JSON object with ``user`` and that one's ``home``, ``environ`` and ``limits``.
Prints a JSON list of ``[key, text, odd, value]``, as :func:`guest_notes.note` has them.
"""

import json
import sys

from harness.rootless.suspects.guest_kernel import look as look_at_the_kernel
from harness.rootless.suspects.guest_notes import found
from harness.rootless.suspects.guest_programs import look as look_at_programs
from harness.rootless.suspects.guest_programs import others as look_at_other_programs
from harness.rootless.suspects.guest_running import look as look_at_what_runs
from harness.rootless.suspects.guest_settings import account as look_at_the_account
from harness.rootless.suspects.guest_settings import look as look_at_settings

USUAL = "/usr/local/bin:/usr/bin:/bin"  # where there is no login to ask


def main() -> None:
    asked = json.loads(sys.argv[1])
    environ = asked["environ"]
    path = environ.get("PATH", USUAL)
    look_at_programs([d for d in path.split(":") if d.startswith("/")])
    look_at_the_account(asked["user"])
    look_at_settings(asked["user"], environ, asked["home"], asked["limits"])
    look_at_the_kernel()
    look_at_what_runs()
    look_at_other_programs()  # last, as there may be many of them
    print(json.dumps(found))


if __name__ == "__main__":
    main()
