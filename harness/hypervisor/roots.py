"""Private roots of the embedded driver: made for a process, swept when it has died."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import time
from pathlib import Path

import psutil

from harness.hypervisor import owners
from harness.hypervisor.leases import qemu_processes

PREFIX = "rlh-"
OWNER = "owner"  # a file: the name of the directory has to be short
PROBE = "none"  # the -machine of a QEMU that libvirt only asks what it can do


def new_root() -> Path:
    """A directory with a short name (the path of a UNIX socket has 108 bytes), mode 0700."""
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    (root / OWNER).write_text(owners.me())
    return root


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
    except OSError:
        return False
    owner = ""
    with contextlib.suppress(OSError):
        owner = (root / OWNER).read_text()
    # Just made, it has only its name to tell.
    return owners.lives(owner or root.name.split("-")[1], time.time() - status.st_mtime)


def _is_probe(arguments: list[str]) -> bool:
    return any(
        option == "-machine" and value.split(",")[0] == PROBE
        for option, value in itertools.pairwise(arguments)
    )
