"""Traits that every distro is documented to have once it is prepared."""

from __future__ import annotations

# Left out, as no document says what they are: linger, and whether tun is loaded.  Leftovers of
# earlier daemons follow from the facts (expectations/derive.py).
PREPARED = {
    "setup-tool": "on PATH",
    "docker-client": "present",
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
    "writable-binaries": "none",
    "slirp4netns": "present",
    "fuse-overlayfs": "present",
    "fuse-device": "yes",
    "user-groups": "none",
    "user-session": "yes",
    "runtime-directory": "set",
    "rootful-socket": "not writable",
    "storage-driver-setting": "unset",
    "cgroup-driver-setting": "unset",
    "daemon-settings": "none",
    "tun": "usable",
    "ipv6": "yes",
}
