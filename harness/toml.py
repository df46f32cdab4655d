"""Files of data that people write: read, or refused in one line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from harness.errors import UsageError

BOM = "\ufeff"
GONE = "write it, or if it was removed, take it from git again"
LONGEST = 1000  # characters of what is said of a file: it may quote what is in it


def read(path: Path) -> dict[str, Any]:
    """The tables of *path*.

    Raises :class:`UsageError`, one line, for what is no TOML or cannot be read, and lets
    :class:`FileNotFoundError` pass.
    """
    try:
        if path.is_symlink() and not path.exists():
            raise refused(path, "cannot be read: a link to nothing")
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise refused(path, "cannot be read: not a file")  # a pipe would be waited for
        text = path.read_text("utf-8")
        if text.startswith(BOM):
            raise refused(path, "not valid TOML: it begins with a byte order mark; save it as"
                                " UTF-8 without one")  # fmt: skip
        return tomllib.loads(text)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise refused(path, f"cannot be read: {exc.strerror or exc}") from None
    except RecursionError:
        raise refused(path, "not valid TOML: nested too deeply") from None
    except ValueError as exc:  # also of a number with thousands of digits
        raise refused(path, f"not valid TOML: {exc}") from None


def refused(path: Path, why: object) -> UsageError:
    """What to raise for a file that is wrong: always one line, whatever the file holds."""
    said = shown(str(why))
    if len(said) > LONGEST:
        said = f"{said[: LONGEST // 2]} … {said[-LONGEST // 2 :]}"
    return UsageError(f"{path}: {said}")


def shown(text: str) -> str:
    """*text* with what cannot be printed, line ends too, written as in a Python string."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
