"""What a saved guest needs to wake up right: the time of day and entropy of its own.

A restored guest goes on at the second it was saved, and two restored from one state would draw
the same random numbers.  Before a save a small process is started in the guest; it waits on a
virtio channel for one line, sets the clock, credits the entropy and answers.  It costs
milliseconds, where a command over SSH would cost a handshake first.  A guest whose kernel has no
virtio is told over SSH all the same.
"""

from __future__ import annotations

from harness.guest.session import Session
from harness.hypervisor.domain import THAW_CHANNEL
from harness.hypervisor.machine import thaw_line

PORT = f"/dev/virtio-ports/{THAW_CHANNEL}"

# RNDADDENTROPY (0x40085203) takes: bits of entropy, bytes, then the bytes.  RNDRESEEDCRNG (0x5207)
# makes the kernel use them at once instead of within a minute; kernels before 4.14 lack it.
_WAKE = """
import fcntl, os, signal, struct, sys, time
def wake(now, seed):
    time.clock_settime(time.CLOCK_REALTIME, float(now))
    seed = bytes.fromhex(seed)
    random = os.open("/dev/random", os.O_RDWR)
    fcntl.ioctl(random, 0x40085203, struct.pack("ii", 8 * len(seed), len(seed)) + seed)
    try:
        fcntl.ioctl(random, 0x5207)
    except OSError:
        pass
    os.close(random)
"""

_TELL = f"{_WAKE}wake(*sys.stdin.read().split())\n"

# With nobody connected, reading the port returns at once; the kernel raises SIGIO when that
# changes, so the listener sleeps until it is spoken to.
_LISTENER = f"""{_WAKE}
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
port = os.open("{PORT}", os.O_RDWR)
fcntl.fcntl(port, fcntl.F_SETOWN, os.getpid())
fcntl.fcntl(port, fcntl.F_SETFL, os.O_RDWR | os.O_ASYNC | os.O_NONBLOCK)
line = b""
while True:
    try:
        part = os.read(port, 4096)
    except BlockingIOError:
        part = b""
    line += part
    if not line.endswith(b"\\n"):
        if not part:
            signal.sigtimedwait([signal.SIGIO], 10)
        continue
    wake(*line.splitlines()[-1].decode().split())
    line = b""
    for _ in range(500):
        # What was said may come before the news that somebody is connected.
        try:
            os.write(port, b"ok\\n")
            break
        except BlockingIOError:
            time.sleep(0.01)
"""


def start_listener(root: Session) -> bool:
    """Start the listener as a transient unit; a running one stays.  False where the guest has no
    virtio channel to listen on, or a systemd before 236, without --collect: then :func:`tell`
    it."""
    if not root.run("test", "-e", PORT, check=False).ok:
        return False
    started = root.run(
        "sh", "-c",
        'systemctl is-active -q "$1" || systemd-run -q --collect --unit="$1" '
        '-p StandardError=null python3 -I -c "$2"',
        "sh", "harness-thaw.service", _LISTENER, check=False,
    )  # fmt: skip
    return started.ok


def tell(root: Session) -> None:
    """Give a restored guest that has no listener the time and entropy of its own."""
    root.run("python3", "-I", "-c", _TELL, input=thaw_line())
