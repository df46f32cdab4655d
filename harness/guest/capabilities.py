"""File capabilities and capability masks as text."""

from __future__ import annotations

import struct

_IN_KERNEL_ORDER = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap "
    "linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner "
    "sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice "
    "sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap "
    "mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf "
    "checkpoint_restore"
)
NAMES = _IN_KERNEL_ORDER.split()


def mask_names(mask: int) -> tuple[str, ...]:
    """The capabilities in a mask of ``/proc/PID/status``, in kernel order."""
    return tuple(_name(n) for n in range(64) if mask >> n & 1)


def xattr_text(data: bytes) -> str:
    """``security.capability`` as getcap prints it: ``cap_net_bind_service=ep``."""
    if len(data) < 12:
        return ""
    count = len(data) // 4
    magic, *words = struct.unpack(f"<{count}I", data[: count * 4])
    revision = magic >> 24
    permitted, inheritable = words[0], words[1]
    if revision >= 2 and len(words) >= 4:
        permitted |= words[2] << 32
        inheritable |= words[3] << 32
    groups: dict[str, list[str]] = {}
    for number in range(64):
        in_p, in_i = permitted >> number & 1, inheritable >> number & 1
        if in_p or in_i:
            flags = "e" * (magic & 1) + "i" * in_i + "p" * in_p
            groups.setdefault(flags, []).append(_name(number))
    text = " ".join(f"{','.join(caps)}={flags}" for flags, caps in groups.items())
    if text and revision == 3 and len(words) >= 5 and words[4]:
        text += f" [rootid={words[4]}]"
    return text


def _name(number: int) -> str:
    return f"cap_{NAMES[number]}" if number < len(NAMES) else f"cap_{number}"
