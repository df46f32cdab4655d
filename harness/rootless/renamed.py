"""Programs by the names that they are called by, also behind a wrapper.

Who puts a wrapper before dockerd keeps it as dockerd.real or dockerd-orig; dpkg-divert(1) names
it dockerd.distrib.  Guests run this, too: standard library of Python 3.6 only.
"""

import re
from typing import Iterable  # noqa: UP035 - 3.6

# Also of what the kernel left of it, which cuts names at 15 characters.  No other program of an
# engine's has such a tail: dockerd-rootless.sh, containerd-shim, rootlesskit-docker-proxy.
_TAIL = r"([.].*|[-_](bi|di|or|re).*)?"


def pattern(*names: str) -> str:
    """What ``pgrep -x`` finds the programs *names* by."""
    return f"({'|'.join(names)}){_TAIL}"


def original(name: str, names: "Iterable[str]") -> str:
    """Which of *names* the file *name* is, renamed or not; or nothing."""
    return next((own for own in names if re.fullmatch(re.escape(own) + _TAIL, name)), "")
