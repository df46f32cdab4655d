# Python 3.6, few imports (each costs time under emulation), and printing is what it is for:
# ruff: noqa: PTH115, PTH116, PTH118, PTH123, T201
"""Runs in the guest as root, fed to ``python3 -I -``: watches executions that gain privilege.

Standard library of Python 3.6 only, no import of the harness.  The one argument is the number
of seconds after which the watcher ends by itself.  Prints ``{"directory": …, "pid": …}`` once it
watches, or ``{"error": …}``; the watcher stays behind and adds one JSON object per line to
``directory/events``.

fanotify with FAN_OPEN_EXEC_PERM on whole file systems: the kernel holds each execution until it
is answered, so the executing process can be looked at *before* it gains anything, and the event
brings the file itself, whatever mount namespace it was named in.  A watcher that dies closes its
descriptor, and the kernel lets everything pass.
"""

import contextlib
import ctypes
import errno
import grp
import json
import os
import signal
import stat
import struct
import sys
import tempfile

FAN_CLASS_CONTENT = 0x04
FAN_CLOEXEC = 0x01
FAN_UNLIMITED_QUEUE = 0x10
FAN_MARK_ADD = 0x01
FAN_MARK_FILESYSTEM = 0x100
FAN_OPEN_EXEC_PERM = 0x40000
FAN_ALLOW = 0x01
FAN_Q_OVERFLOW = 0x4000
AT_FDCWD = -100
METADATA = struct.Struct("=IBBHQii")  # event_len vers reserved metadata_len mask fd pid
READ_SIZE = 64 * METADATA.size
DISKS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "squashfs", "overlay", "tmpfs")


def mount_points() -> "list[str]":
    """One mount point for each file system that can hold a privileged executable."""
    found: dict[str, str] = {}
    with open("/proc/self/mountinfo", errors="replace") as handle:
        for line in handle:
            fields, _, tail = line.partition(" - ")
            device, point, options = fields.split()[2], fields.split()[4], fields.split()[5]
            if tail.split()[0] in DISKS and "nosuid" not in options.split(","):
                found.setdefault(device, point.replace("\\040", " "))
    return list(found.values())


def open_watch() -> "tuple[int, list[str]]":
    """The descriptor, and the mount points whose file systems cannot be watched."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_UNLIMITED_QUEUE
    fd = int(libc.fanotify_init(flags, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_LARGEFILE", 0)))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "fanotify_init")
    unwatched = []
    for point in mount_points():
        mask = ctypes.c_uint64(FAN_OPEN_EXEC_PERM)
        how = FAN_MARK_ADD | FAN_MARK_FILESYSTEM
        if libc.fanotify_mark(fd, how, mask, AT_FDCWD, os.fsencode(point)):
            if point == "/":
                raise OSError(ctypes.get_errno(), "fanotify_mark")
            unwatched.append(point)
    return fd, unwatched


def executor(pid: int) -> "dict[str, object]":
    """Who executes, as it was before; it cannot end before it is answered."""
    seen = {"comm": "", "uids": [], "ppid": 0, "userns": 0}
    with contextlib.suppress(OSError):
        seen["userns"] = os.stat(f"/proc/{pid}/ns/user").st_ino
        with open(f"/proc/{pid}/status", errors="replace") as handle:
            for line in handle:
                key, _, value = line.partition(":")
                if key == "Name":
                    seen["comm"] = value.strip()
                elif key == "PPid":
                    seen["ppid"] = int(value)
                elif key == "Uid":
                    seen["uids"] = [int(word) for word in value.split()]
    return seen


def privileged(fd: int) -> "dict[str, object] | None":
    status = os.fstat(fd)
    try:
        xattr = os.getxattr(fd, "security.capability").hex()
    except OSError:
        xattr = ""
    if not (xattr or status.st_mode & (stat.S_ISUID | stat.S_ISGID)):
        return None
    path = os.readlink(f"/proc/self/fd/{fd}")
    mode = stat.S_IMODE(status.st_mode)
    seen = {"path": path, "owner": status.st_uid, "mode": mode, "xattr": xattr}
    return dict(seen, group=group_name(status.st_gid))


def group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def one_event(watch: int, events: int, mask: int, fd: int, pid: int) -> None:
    line: dict[str, object] | None = {"overflow": True} if mask & FAN_Q_OVERFLOW else None
    if fd >= 0:
        try:
            file = privileged(fd)
            line = {"pid": pid} if file is None else dict(executor(pid), pid=pid, **file)
        finally:
            os.write(watch, struct.pack("=iI", fd, FAN_ALLOW))
            os.close(fd)
    if line is not None:
        os.write(events, json.dumps(line).encode() + b"\n")


def serve(watch: int, events: int) -> None:
    while True:
        try:
            data = os.read(watch, READ_SIZE)
        except OSError as error:
            if error.errno == errno.EINTR:
                continue
            raise
        while data:
            length, _, _, _, mask, fd, pid = METADATA.unpack_from(data)
            one_event(watch, events, mask, fd, pid)
            data = data[length:]


def main() -> None:
    try:
        watch, unwatched = open_watch()
    except (OSError, AttributeError) as error:
        reason = "fanotify cannot watch executions on this kernel: " + str(error)
        print(json.dumps({"error": reason}))
        return
    directory = tempfile.mkdtemp(prefix="rootless-audit-", dir="/run")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    events = os.open(os.path.join(directory, "events"), flags, 0o600)
    pid = os.fork()
    if pid:
        print(json.dumps({"directory": directory, "pid": pid, "unwatched": unwatched}))
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    signal.alarm(int(sys.argv[1]))  # its default action ends the process
    serve(watch, events)


if __name__ == "__main__":
    main()
