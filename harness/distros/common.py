"""Traits that every distro is documented to have once it is prepared."""

from __future__ import annotations

# Left out, as no document says what they are and scenarios change them: linger, leftovers of
# earlier daemons, the groups for ping, and whether tun is loaded.
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
    "daemon-settings": "none",
    "tun": "usable",
}
