"""The libvirt connection: the embedded driver under a private root, or a daemon's URI."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from pathlib import Path

import libvirt

from harness.errors import TestbedError

EMBED = "qemu:///embed"

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


def _start_events() -> None:
    """The embedded driver needs a running event loop; one for the process."""
    global _loop
    if _loop is None:
        libvirt.registerErrorHandler(_ignore, None)
        libvirt.virEventRegisterDefaultImpl()
        _loop = threading.Thread(target=_run_events, name="libvirt-events", daemon=True)
        _loop.start()


class Connection:
    """An open libvirt connection.  Close it to remove the private root."""

    def __init__(self, uri: str = EMBED, *, capabilities_cache: Path | None = None) -> None:
        """*capabilities_cache* keeps what libvirt learned about QEMU between processes."""
        _start_events()
        self.uri = uri
        # Short, because the path of a UNIX socket has 108 bytes; private (mode 0700).
        self.root = Path(tempfile.mkdtemp(prefix="rlh-"))
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
        """The versions of libvirt and QEMU, as dotted text."""
        return {
            "libvirt": _dotted(self.handle.getLibVersion()),
            "qemu": _dotted(self.handle.getVersion()),
        }

    def close(self) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            self.handle.close()
        self._remove_root()

    def _remove_root(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


def _dotted(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
