"""Traits that every distro is documented to have once it is prepared."""

from __future__ import annotations

# Linger, the leftovers of earlier daemons and the groups for ping are left out: scenarios
# change them, and no document says what they are.
PREPARED = {
    "setup-tool": "on PATH",
    "port-boundary": "1024",
    "max-user-namespaces": ">0",
    "apparmor-userns": "absent",
    "subordinate-uids": "65536",
    "subordinate-gids": "65536",
    "newuidmap": "setuid root",
    "newgidmap": "setuid root",
    "rootlesskit": "present",
    "rootlesskit-capabilities": "none",
    "privileged-binaries": "none",
    "slirp4netns": "present",
    "fuse-overlayfs": "present",
    "fuse-device": "yes",
    "user-groups": "none",
    "user-session": "yes",
    "runtime-directory": "set",
    "rootful-socket": "not writable",
    "storage-driver-setting": "unset",
    "cgroup-driver-setting": "unset",
    "tun-module": "loaded",
}
