"""Private roots of the embedded driver: made for a process, swept when it has died."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import psutil

from harness.hypervisor.leases import qemu_processes

PREFIX = "rlh-"
PROBE = "none"  # the -machine of a QEMU that libvirt only asks what it can do


def new_root() -> Path:
    """A directory with a short name (the path of a UNIX socket has 108 bytes), mode 0700."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))


def sweep(directory: Path | None = None) -> list[Path]:
    """Remove the roots of processes that have died, and end the probes that they left.

    A guest that was kept for the user goes on, and its root stays.  Returns the roots removed.
    """
    gone = []
    for root in (directory or Path(tempfile.gettempdir())).glob(f"{PREFIX}[0-9]*-*"):
        if _owned(root):
            continue
        used = False
        for process in qemu_processes(str(root)):
            with contextlib.suppress(psutil.Error):
                if _is_probe(process.cmdline()):
                    process.kill()
                else:
                    used = True
        if not used:
            shutil.rmtree(root, ignore_errors=True)
            gone.append(root)
    return gone


def _owned(root: Path) -> bool:
    """Whether the process that made *root* lives, or the directory is another user's."""
    try:
        status = root.stat()
        if status.st_uid != os.getuid():
            return True
        process = psutil.Process(int(root.name.split("-")[1]))
        # An id that was given again belongs to a process younger than the directory.
        return process.create_time() <= status.st_mtime + 1
    except (OSError, ValueError, psutil.NoSuchProcess):
        return False
    except psutil.Error:
        return True


def _is_probe(arguments: list[str]) -> bool:
    return any(
        option == "-machine" and value.split(",")[0] == PROBE
        for option, value in itertools.pairwise(arguments)
    )
