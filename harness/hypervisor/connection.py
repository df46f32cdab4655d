"""The libvirt connection: the embedded driver under a private root, or a daemon's URI."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import shutil
import threading
from pathlib import Path

import libvirt

from harness.errors import TestbedError
from harness.hypervisor import roots

EMBED = "qemu:///embed"
PR_SET_CHILD_SUBREAPER = 36
REAP_MILLISECONDS = 50

# As root, libvirt would run QEMU as another user, who cannot open /dev/kvm; it then probes QEMU
# anew at each call (a minute instead of 0.3 s).  The rest needs a daemon that embed lacks.
_QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
remember_owner = 0
"""

_loop: threading.Thread | None = None


def _ignore(_context: object, _error: object) -> None:
    """libvirt prints every error on stderr by default; they reach us as exceptions."""


def _run_events() -> None:
    while True:
        with contextlib.suppress(libvirt.libvirtError):
            libvirt.virEventRunDefaultImpl()


def _reap_qemu(_timer: int, _opaque: object) -> None:
    """Wait for QEMUs that have ended: libvirt made them orphans, and polls until they are gone.

    Orphans are daemons, of a session of their own; a QEMU of ours is a child that libvirt itself
    waits for, and would miss.
    """
    ours = os.getsid(0)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    with contextlib.suppress(OSError):
        for pid in map(int, children.read_text().split()):
            with contextlib.suppress(OSError):
                qemu = Path(f"/proc/{pid}/comm").read_text().startswith("qemu-system")
                if qemu and os.getsid(pid) != ours:
                    os.waitpid(pid, os.WNOHANG)


def _start_events(*, subreaper: bool) -> None:
    """The embedded driver needs a running event loop; one for the process."""
    global _loop
    if _loop is None:
        libvirt.registerErrorHandler(_ignore, None)
        libvirt.virEventRegisterDefaultImpl()
        if subreaper:
            # Orphans would be waited for by PID 1, which on some hosts looks only every second
            # or two; until then libvirt takes an ended QEMU for a running one.
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            libvirt.virEventAddTimeout(REAP_MILLISECONDS, _reap_qemu, None)
        _loop = threading.Thread(target=_run_events, name="libvirt-events", daemon=True)
        _loop.start()


class Connection:
    """An open libvirt connection, for the life of the process: see :func:`connect`."""

    def __init__(self, uri: str = EMBED, *, capabilities_cache: Path | None = None,
                 persistent: bool = False) -> None:  # fmt: skip
        """*capabilities_cache* keeps what libvirt learned about QEMU between processes.

        The guests of a *persistent* connection outlive this process, and are nobody's children.
        """
        _start_events(subreaper=not persistent)
        self.uri = uri
        roots.sweep()
        self.root = roots.new_root()
        if uri == EMBED:
            etc = self.root / "etc"
            etc.mkdir()
            (etc / "qemu.conf").write_text(_QEMU_CONF)
            if capabilities_cache is not None:
                capabilities_cache.mkdir(parents=True, exist_ok=True)
                (self.root / "cache").symlink_to(capabilities_cache.resolve())
            uri = f"{EMBED}?root={self.root}"
        try:
            self.handle = libvirt.open(uri)
        except libvirt.libvirtError as error:
            self._remove_root()
            raise TestbedError(
                f"libvirt did not open {self.uri}: {error.get_error_message()}",
                hint="check the URI, or leave --libvirt-uri out to use the embedded driver",
                command="harness doctor",
            ) from error

    def versions(self) -> dict[str, str]:
        """The versions of libvirt and QEMU, as dotted text.  Raises :class:`TestbedError` where
        libvirt finds no QEMU."""
        try:
            return {
                "libvirt": _dotted(self.handle.getLibVersion()),
                "qemu": _dotted(self.handle.getVersion()),
            }
        except libvirt.libvirtError as error:
            raise TestbedError(
                f"libvirt opens {self.uri}, and finds no QEMU: {error.get_error_message()}",
                hint="install what the harness needs", command="make bootstrap",
            ) from error

    def _close(self) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            self.handle.close()
        self._remove_root()

    def _remove_root(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


_open: dict[str, Connection] = {}


def connect(
    uri: str = EMBED, *, capabilities_cache: Path | None = None, persistent: bool = False
) -> Connection:
    """The process's connection to *uri*: the embedded driver has one private root a process,
    even after it is closed.  See :class:`Connection` for the arguments, which the first call
    decides."""
    if uri not in _open:
        _open[uri] = Connection(
            uri, capabilities_cache=capabilities_cache, persistent=persistent
        )
        atexit.register(_open[uri]._close)
    return _open[uri]


def _dotted(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
