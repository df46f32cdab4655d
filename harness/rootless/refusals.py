"""What a guest will not do is found out once a run, not once a scenario."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.errors import GuestRefusal


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
