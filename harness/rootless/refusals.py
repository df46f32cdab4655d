"""What a guest will not do is found out once a run, not once a scenario."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from harness.errors import GuestRefusal

_UNREACHED = re.compile(r"state \w+ cannot be reached: ")


def unreached(state: str, why: str) -> str:
    """What a refusal says of a *state* that a guest does not come to."""
    return f"state {state} cannot be reached: {why}"


def is_unreached(what: str) -> bool:
    """Whether :func:`unreached` said it."""
    return _UNREACHED.match(what) is not None


class Refusals:
    """The refusals of one run, shared by its workers through its directory."""

    def __init__(self, run_dir: Path) -> None:
        self._directory = run_dir / "refusals"

    def remember(self, key: str, refusal: GuestRefusal) -> None:
        """Note that the state *key* cannot be reached."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{key}.json"
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"what": refusal.what, "detail": refusal.detail}))
        temporary.replace(path)

    def check(self, key: str) -> None:
        """Raise the refusal that was noted for *key*, if one was."""
        try:
            record = json.loads((self._directory / f"{key}.json").read_text())
        except (OSError, ValueError):
            return
        raise GuestRefusal(record["what"], detail=record["detail"])
