"""What a command on a guest printed, read; what cannot be read is the guest's refusal."""

from __future__ import annotations

import json
from typing import Any

from harness.errors import GuestRefusal
from harness.guest.session import Result


def unreadable(result: Result) -> GuestRefusal:
    """The refusal that a command's answer which nobody can read is."""
    what = f"`{result.command[:200]}` gave no answer that can be read"
    return GuestRefusal(what, detail=result.transcript[-4000:])


def as_json(result: Result) -> Any:
    """What a command printed as JSON; :class:`GuestRefusal` for anything else."""
    try:
        return json.loads(result.stdout)
    except ValueError as error:
        raise unreadable(result) from error


def as_words(result: Result) -> list[str]:
    """The words that a command printed; :class:`GuestRefusal` for none."""
    words = result.stdout.split()
    if not words:
        raise unreadable(result)
    return words


def as_number(result: Result) -> int:
    """The number that a command printed; :class:`GuestRefusal` for anything else."""
    try:
        return int(result.stdout)
    except ValueError as error:
        raise unreadable(result) from error
