# Python 3.6, few imports (each costs time under emulation), and printing is what it is for:
# ruff: noqa: PTH101, PTH103, PTH111, PTH118, PTH123, T201
"""Runs in the guest as the login user, fed to ``python3 -I -``: what only the session knows.

Standard library of Python 3.6 only (CentOS 7, Leap 15), no import of the harness.  The one
argument is what to multiply the time limit by.  Prints one JSON object.  A missing tool or a
refused call is an answer, never a traceback; one that does not end is none: exits with OVERDUE.
"""

import contextlib
import ctypes
import grp
import json
import os
import shutil
import subprocess
import sys
import tempfile

SESSION_SECONDS = 30.0  # with hardware acceleration; the bus itself gives up after 25
OVERDUE = 75  # of harness.guest.probe
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000


def group_names() -> "list[str]":
    names = []
    for gid in sorted(set(os.getgroups()) | {os.getgid()}):
        try:
            names.append(grp.getgrgid(gid).gr_name)
        except KeyError:
            names.append(str(gid))
    return names


def user_session() -> bool:
    try:
        return (
            subprocess.call(
                ["systemctl", "--user", "show-environment"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SESSION_SECONDS * float(sys.argv[1]),
            )
            == 0
        )
    except subprocess.TimeoutExpired as error:  # no answer, not a no
        print(" ".join(error.cmd), "did not end in time", file=sys.stderr)
        sys.exit(OVERDUE)
    except OSError:
        return False


def opens(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _write(path: str, text: str) -> None:
    with open(path, "w") as handle:
        handle.write(text)


def _mount_in_child(top: str, options: str) -> None:
    """In a fresh user and mount namespace; raises where the kernel refuses."""
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")
    target = os.path.join(top, "merged").encode()
    if libc.mount(b"overlay", target, b"overlay", ctypes.c_ulong(0), options.encode()):
        raise OSError(ctypes.get_errno(), "mount")
    _write(os.path.join(top, "merged", "file"), "x")


def _overlay(top: str, extra: str) -> bool:
    """unshare(1) and mount(8) are not used: either may be what is broken on this guest."""
    for name in ("lower", "upper", "work", "merged"):
        os.makedirs(os.path.join(top, name))
    options = f"lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work{extra}"
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _mount_in_child(top, options)
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def overlay_in_userns(directory: str) -> bool:
    """``userxattr`` is how kernels from 5.11 mount; distro patches before that have none."""
    try:
        top = tempfile.mkdtemp(prefix=".overlay-probe-", dir=directory)
    except OSError:
        return False
    try:
        for name, extra in (("userxattr", ",userxattr"), ("plain", "")):
            if _overlay(os.path.join(top, name), extra):
                return True
        return False
    except (OSError, AttributeError):
        return False
    finally:
        for name in ("userxattr", "plain"):  # the kernel leaves a directory of mode 000 behind
            with contextlib.suppress(OSError):
                os.chmod(os.path.join(top, name, "work", "work"), 0o700)
        shutil.rmtree(top, ignore_errors=True)


def main() -> None:
    home = os.path.expanduser("~")
    environ = os.environ
    print(
        json.dumps(
            {
                "uid": os.getuid(),
                "home": home,
                "groups": group_names(),
                "path": environ.get("PATH", ""),
                "xdg_runtime_dir": environ.get("XDG_RUNTIME_DIR", ""),
                "config_home": environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"),
                "data_home": environ.get("XDG_DATA_HOME") or os.path.join(home, ".local/share"),
                "user_session": user_session(),
                "rootful_socket_writable": os.access("/var/run/docker.sock", os.W_OK),
                "overlay_in_userns": overlay_in_userns(home),
                "fuse_device": opens("/dev/fuse"),
            }
        )
    )


if __name__ == "__main__":
    main()
