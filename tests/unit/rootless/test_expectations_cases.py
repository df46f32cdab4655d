"""Each rule where it holds and where it does not: key, machine, changed traits, prediction.

NA stands for a claim that decides nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from harness.guest.facts import Binary, Facts
from harness.results.model import Value
from harness.rootless.expectations import RULES, predict
from harness.rootless.expectations.requirements import INSTALLERS
from harness.rootless.traits import assume

NA = "not applicable"
Case = tuple[str, str, Mapping[str, str], Value]

CAPABLE = {"rootlesskit-capabilities": "cap_net_bind_service"}
SU = {"user-session": "no", "runtime-directory": "unset"}
V1 = {"cgroup": "v1"}
UNIT = (
    "Delegate=yes DropInPaths= ExecReload=/bin/kill -s HUP $MAINPID KillMode=mixed "
    "LimitCORE=infinity LimitNOFILE=infinity LimitNPROC=infinity NotifyAccess=none Restart=always "
    "RestartUSec=2s StandardError=inherit StandardOutput=journal StartLimitBurst=3 "
    "StartLimitIntervalUSec=1min TasksMax=infinity TimeoutStartUSec=infinity "
    "TimeoutStopUSec=infinity Type=simple"
)
LINES = (
    "Delegate Description Documentation Environment=PATH ExecReload ExecStart KillMode LimitCORE "
    "LimitNOFILE LimitNPROC Restart RestartSec StartLimitBurst StartLimitInterval TasksMax "
    "TimeoutSec Type WantedBy"
)


STORAGE: tuple[Case, ...] = (
    ("M11", "debian_12", {}, "overlay2"),
    ("M11", "debian_11", {}, "fuse-overlayfs"),
    ("M11", "debian_11", {"fuse-overlayfs": "missing"}, "vfs"),
    ("M11", "debian_11", {"fuse-device": "no"}, "fuse-overlayfs"),
    ("M11", "debian_11", {"overlay-in-userns": "yes"}, "overlay2"),
    ("M11", "debian_11", {"driver-directories": "vfs"}, "fuse-overlayfs"),
    ("M11", "debian_12", {"driver-directories": "fuse-overlayfs"}, "fuse-overlayfs"),
    ("M11", "debian_12", {"driver-directories": "fuse-overlayfs overlay2"}, NA),
    ("M11", "debian_12", {"storage-driver-setting": "vfs"}, "vfs"),
    ("M11", "debian_11", {"storage-driver-setting": "overlay2"}, NA),
    ("M11", "debian_13", {}, "overlay2"),
    ("M11", "debian_13", {"overlay-in-userns": "no"}, "fuse-overlayfs"),
    ("M11", "centos_7", {}, "vfs"),
    ("M11", "photon_4", {"fuse-overlayfs": "missing"}, "vfs"),
    ("M11", "docker_19_03", {"overlay-in-userns": "no"}, "vfs"),
    ("M11", "newest", {}, "overlayfs"),
    ("M11", "newest", {"overlay-in-userns": "no"}, "native"),
    ("M11", "newest", {"driver-directories": "overlay2"}, "overlay2"),
    ("M11.root", "debian_12", {}, "overlay"),
    ("M11.root", "debian_11", {}, "fuse.fuse-overlayfs"),
    ("M11.root", "debian_11", {"fuse-overlayfs": "missing"}, "the data root's"),
    ("M11.root", "debian_11", {"fuse-device": "no"}, NA),
    ("M11.root", "newest", {}, "overlay"),
    ("M11.fresh", "debian_12", {"driver-directories": "fuse-overlayfs"}, "overlay2"),
    ("M11.overlay2", "debian_12", {}, "starts"),
    ("M11.overlay2", "debian_11", {}, "fails: storage driver"),
    ("M11.fuse-overlayfs", "debian_12", {}, "starts"),
    ("M11.fuse-overlayfs", "debian_12", {"fuse-overlayfs": "missing"}, "fails: storage driver"),
    ("M11.fuse-overlayfs", "centos_7", {"user-session": "yes"}, "fails: storage driver"),
    ("M11.fuse-overlayfs", "debian_12", {"fuse-device": "no"}, "starts, no container"),
    ("M11.fuse-overlayfs", "docker_19_03", {}, "fails: storage driver"),
    ("M11.fuse-overlayfs", "newest", {}, "fails: storage driver"),
    ("M11.fuse-overlayfs", "debian_14", {}, "starts"),
    ("M11", "docker_19_03", {"driver-directories": "fuse-overlayfs"}, "overlay2"),
    ("M11", "newest", {"driver-directories": "fuse-overlayfs"}, "fuse-overlayfs"),
    ("M11.vfs", "debian_11", {}, "starts"),
    ("M11.reused", "debian_12", {}, "fuse-overlayfs"),
    ("M11.reused", "debian_12", {"fuse-overlayfs": "missing"}, NA),
    ("M11.reused", "docker_19_03", {}, NA),
)

CGROUP: tuple[Case, ...] = (
    ("M25", "debian_12", {}, "systemd"),
    ("M25", "debian_12", V1, "none"),
    ("M25", "debian_12", {"cgroup": "hybrid"}, "none"),
    ("M25", "debian_12", {"systemd": "none"}, "none"),
    ("M25", "debian_12", {"user-session": "no"}, "systemd"),
    ("M25", "docker_19_03", {}, "none"),
    ("M25", "debian_12", {"cgroup-driver-setting": "systemd", **V1}, NA),
    ("M25", "debian_12", {"cgroup-driver-setting": "none"}, NA),
    ("M25", "debian_12", {"cgroup-driver-setting": "cgroupfs"}, "none"),
    ("M25.systemd_setting", "debian_12", {}, "starts"),
    ("M25.systemd_setting", "photon_4", {}, "refused"),
    ("M25.systemd_setting", "docker_19_03", {}, NA),
    ("M12", "debian_12", {}, "supported"),
    ("M12", "docker_19_03", {}, "unsupported"),
    ("M12.top", "debian_12", {}, "works"),
    ("M12.top", "docker_19_03", {}, "fails"),
    ("P17.memory", "debian_12", {}, "enforced"),
    ("P17.cpus", "debian_12", {}, "enforced"),
    ("P17.pids", "debian_12", {}, "enforced"),
    ("P17.memory_max", "debian_12", {}, "67108864"),
    ("P17.cpu_max", "debian_12", {}, "50000 100000"),
    ("P17.pids_max", "debian_12", {}, "50"),
    ("P17.cpus", "debian_11", {}, "error"),
    ("P17.cpu_max", "debian_11", {}, "error"),
    ("P17.memory", "debian_11", {}, "enforced"),
    ("P17.pids", "debian_11", {}, "enforced"),
    ("P17.memory", "debian_12", {"delegated-controllers": "none"}, "error"),
    ("P17.memory", "debian_12", {"slice-controllers": "none"}, "ignored"),
    ("P17.pids_max", "debian_12", {"delegated-controllers": "cpu"}, "error"),
    ("P17.pids_max", "debian_12", {"slice-controllers": "cpu"}, "unlimited"),
    ("P17.cpus", "debian_12", {"slice-controllers": "none"}, "error"),
    ("P17.memory_undelegated", "debian_12", {}, "error"),
    ("P17.memory_undelegated", "debian_12", {"slice-controllers": "cpu"}, "ignored, warned"),
    ("P17.pids_undelegated", "debian_11", {}, "error"),
    ("P17.pids_undelegated", "debian_11", V1, NA),
    ("P17.memory_discarded", "debian_12", {}, "ignored, warned"),
    ("P17.pids_discarded", "debian_12", {}, "ignored, warned"),
    ("P17.pids_discarded", "docker_19_03", {}, NA),
    ("P17.pids_discarded", "debian_14", {}, "ignored, warned"),
    ("P17.cpus", "debian_11", V1, "ignored"),
    ("P17.memory", "photon_4", {}, "ignored"),
    ("P17.memory_max", "photon_4", {}, "unlimited"),
    ("P17.pids", "docker_19_03", {}, "ignored"),
    ("P17.memory", "debian_12", {"user-session": "no"}, "no container"),
    ("P17.cpu_max", "debian_11", {"user-session": "no"}, "no container"),
    ("P17.cgroup_version", "debian_12", {}, "2"),
    ("P17.cgroup_version", "photon_4", {}, "1"),
    ("P17.cgroup_version", "docker_19_03", {}, NA),
    ("P18", "debian_12", {}, NA),
    ("P18", "debian_12", V1, "ignored"),
    ("P18", "photon_4", {}, "ignored"),
)

PORTS: tuple[Case, ...] = (
    ("P15.low_port", "debian_12", {}, "refused"),
    ("P15.low_port", "debian_12", {"port-boundary": "80"}, "published"),
    ("P15.low_port", "debian_12", {"port-boundary": "81"}, "refused"),
    ("P15.low_port", "debian_12", CAPABLE, "published"),
    ("P15.exit", "debian_12", {}, 126),
    ("P15.exit", "debian_11", {}, 126),
    ("P15.exit", "debian_12", {"port-boundary": "0"}, 0),
    ("P15.1023", "debian_12", {}, "refused"),
    ("P15.1023", "debian_12", {"port-boundary": "1023"}, "published"),
    ("P15.1024", "debian_12", {}, "published"),
    ("P15.1024", "debian_12", {"port-boundary": "2000"}, "refused"),
    ("P15.high_port", "debian_12", {}, "served"),
    ("P15.high_port", "debian_12", {"port-boundary": "9000"}, "refused"),
    ("P15.low_port", "centos_7", {"user-session": "yes"}, "refused"),
    ("M17", "debian_12", {}, "1023 refused, 1024 published"),
    ("M17", "debian_12", {"port-boundary": "0"}, "1023 published, 1024 published"),
    ("P16.sysctl", "debian_12", {}, "answers"),
    ("P16.sysctl", "centos_7", {"user-session": "yes"}, NA),
    ("P16.capability", "debian_12", {}, "answers"),
    ("P16.undone", "debian_12", {}, "refused"),
    ("P16.undone", "debian_12", {"port-boundary": "80"}, "answers"),
    ("P16.undone", "debian_12", CAPABLE, "answers"),
    ("M16.sctp", "debian_12", {}, "nothing listens"),
    ("M16.exit", "debian_12", {}, 0),
    ("M16.exit", "debian_11", {}, 0),
    ("M16.exit", "debian_12", {"rootlesskit-version": "0.14.1"}, 125),
    ("M16.log", "debian_12", {}, "silent"),
    ("M16.log", "debian_14", {}, "says so"),
    ("M16.log", "debian_12", {"rootlesskit-version": "0.14.1"}, NA),
)

TOOL: tuple[Case, ...] = (
    ("P8", "debian_12", {}, 0),
    ("P8.commands", "debian_12", {}, "check install uninstall"),
    ("P8.commands", "debian_13", {}, "check nsenter install uninstall"),
    ("P8.commands", "photon_4", {}, "check install uninstall"),
    ("P8.nsenter_works", "debian_12", {}, NA),
    ("P8.nsenter_works", "debian_13", {}, False),
    ("P8.nsenter_works", "newest", {}, True),
    ("P12", "debian_12", {}, "satisfied"),
    ("P12", "docker_19_03", {}, NA),
    ("P12.exit", "debian_12", {}, 0),
    ("P12.exit", "debian_12", {"newuidmap": "missing"}, 1),
    ("P12.exit", "debian_12", {"runtime-directory": "unset"}, 2),
    ("P12", "debian_12", {"userns-clone": "0", "newuidmap": "missing"},
     "missing: newuidmap, userns_clone"),
    ("P12", "debian_12", {"userns-clone": "absent"}, "satisfied"),
    ("P12", "debian_12", {"ip_tables-module": "available"}, "missing: ip_tables"),
    ("P12", "debian_13", {"ip_tables-module": "blocked"}, "missing: ip_tables"),
    ("P12", "debian_14", {"ip_tables-module": "blocked"}, "satisfied"),
    ("P12", "debian_14", {"nf_tables-module": "available"}, "missing: nf_tables"),
    ("P12", "debian_14", {"iptables": "legacy", "ip_tables-module": "available"},
     "missing: ip_tables"),
    ("P12", "debian_12", {"rootful-socket": "writable"}, "refused: rootful Docker"),
    ("P12", "debian_12", {"runtime-directory": "unset"}, "refused: XDG_RUNTIME_DIR"),
    ("P12", "debian_12", SU, "satisfied"),
    ("P12", "debian_13", {"newgidmap": "missing"}, "smoke test fails"),
    ("P12", "debian_14", {"engine": "28.2.2", "subordinate-uids": "none"}, "silent failure"),
    ("P12", "debian_14", {"engine": "28.3.0", "subordinate-uids": "none"}, "missing: subuid"),
    ("P12", "debian_14", {"engine": "28.0.0", "subordinate-gids": "none"}, "silent failure"),
    ("P12", "debian_14", {"engine": "28.3.0", "subordinate-gids": "none"}, "missing: subgid"),
    ("P12", "debian_14", {"engine": "28.1.0"}, "missing: iptables"),
    ("P12", "debian_14", {"engine": "28.1.0", "iptables": "none"}, "satisfied"),
    ("P12", "debian_14", {"engine": "28.1.1"}, "satisfied"),
    ("P12.missing_rootlesskit", "debian_12", {}, "satisfied"),
    ("P12.missing_rootlesskit", "debian_13", {}, "smoke test fails"),
    ("P12.suite-layout-check", "suite_layout", {"rootlesskit": "missing"},
     "missing requirement reported"),
    ("D13.suite-layout-install", "suite_layout", {}, "installed"),
    ("D8.newuidmap", "debian_12", {}, "failed: missing: newuidmap"),
    ("D8.newgidmap", "debian_12", {}, "failed: newgidmap"),
    ("D8.newgidmap", "debian_14", {}, "failed: smoke test fails"),
    ("D8.userns_clone", "debian_12", {}, "failed: missing: userns_clone"),
    ("D8.userns_clone", "debian_12", {"userns-clone": "absent"}, NA),
    ("D8.range_size", "debian_12", {}, "installed"),
    ("D8.no_session", "debian_12", {}, "systemd not detected"),
    ("D8.start_command", "debian_12", {},
     "PATH=/usr/bin:/sbin:/usr/sbin:$PATH dockerd-rootless.sh"),
    ("D8.start_command", "debian_12", {"newuidmap": "missing"}, NA),
    ("D8.no_session_check", "debian_12", {}, "satisfied"),
    ("D8.no_session_check", "debian_12", {"newuidmap": "missing"}, "missing: newuidmap"),
    ("D8.no_command_said", "debian_12", {}, "No command was specified. Run with --help to see the "
     "usage. Maybe you want to run `/usr/bin/dockerd-rootless-setuptool.sh install`?"),
    ("D8.no_runtime_directory", "debian_12", {}, "failed: refused: XDG_RUNTIME_DIR"),
    ("D8.module", "debian_12", {}, "missing: ip_tables"),
    ("D8.module", "debian_14", {}, "missing: nf_tables"),
    ("D8.uninstall_blocked", "debian_12", {}, "missing: newuidmap"),
    ("D8.uninstall_blocked_keeps", "debian_11", {}, "exit 1, kept: unit daemon"),
    ("D8.uninstall_blocked_keeps", "debian_12", {}, "exit 1, kept: unit context daemon"),
    ("D8.uninstall_blocked_keeps", "debian_12", SU, NA),
    ("D8.newuidmap_command", "debian_12", {}, NA),  # probed before installers were looked for
    ("D8.newuidmap_command", "arch_rolling", {}, "no command"),
    ("D8.iptables_command", "arch_rolling", {}, "no command"),
    ("D8.newuidmap_command", "debian_12", {"rootful-socket": "writable"}, NA),
)

INSTALL: tuple[Case, ...] = (
    ("P13", "debian_12", {}, "installed"),
    ("D13", "debian_12", {}, "installed"),
    ("P13", "suite_layout", {}, "failed: docker not beside the tool"),
    ("P13", "debian_12", SU, "systemd not detected"),
    ("P13", "debian_12", {"rootful-socket": "writable"}, "failed: refused: rootful Docker"),
    ("P13", "debian_12", {"slirp4netns": "old"}, "failed: network driver"),
    ("P13", "debian_12", {"rootlesskit": "missing"}, "failed: rootlesskit"),
    ("P13", "debian_12", {"storage-driver-setting": "zfs"}, "failed: storage driver"),
    ("P13", "debian_12", {"tun-module": "blocked"}, "failed: tun"),
    ("P13", "centos_7", {}, "systemd not detected"),
    ("P13.exit", "debian_12", {}, True),
    ("P13.exit", "suite_layout", {}, False),
    ("P13.unit", "debian_12", {}, "active"),
    ("P13.unit", "centos_7", {}, NA),
    ("P2", "debian_12", {}, "no privilege used"),
    ("P2", "suite_layout", {}, NA),
    ("D13.context", "debian_12", {}, "created and used"),
    ("D13.context", "debian_11", {}, "none"),
    ("D13.context", "debian_11", {"engine": "20.10.6"}, "created"),
    ("D13.context", "debian_11", {"engine": "20.10.18"}, "created"),
    ("D13.context", "debian_11", {"engine": "20.10.19"}, "created and used"),
    ("D13.said", "debian_11", {}, "created, started, installed, variables"),
    ("D13.said", "debian_11", {"engine": "20.10.6"},
     "created, started, installed, context made, variables"),
    ("D13.said", "debian_12", {},
     "created, started, installed, context made, context used, variables, another"),
    ("D13.said", "debian_12", SU, NA),
    ("D13.said", "newest", {}, NA),
    ("D13.unit_type", "debian_12", {}, "simple"),
    ("D13.unit_type", "debian_13", {}, "notify"),
    ("D13.docker_host", "debian_12", {}, "unix:///run/user/1000/docker.sock"),
    ("D13.enabled", "debian_12", {}, "enabled"),
    ("D14", "debian_12", {}, ".config/systemd/user/docker.service"),
    ("D14", "debian_12", SU, NA),
    ("D12", "suite_layout", {}, "/usr/bin"),
    ("D9", "debian_12", {"rootful-socket": "writable"}, "satisfied"),
    ("D9.socket_left", "debian_12", {}, "refused: rootful Docker"),
    ("D10", "debian_12", {}, "failed: refused: rootful Docker"),
    ("D10.not_writable", "debian_12", {}, "installed"),
    ("D10.force", "debian_12", {}, "installed"),
    ("D10.force", "debian_13", {"engine": "27.3.1", "newgidmap": "missing"},
     "failed: smoke test fails"),
    ("D10.force", "debian_13", {"engine": "27.4.0", "newgidmap": "missing"}, "failed: newgidmap"),
    ("D10.short_option", "debian_12", {}, "satisfied"),
    ("D11", "debian_12", {}, "rootful"),
    ("D16", "debian_12", {}, NA),
    ("D18", "debian_12", {}, NA),
    ("P14", "debian_12", {}, 0),
    ("P14", "debian_12", {"rootlesskit": "missing"}, NA),
    ("P14", "debian_12", {"user-session": "no"}, NA),
    ("P14.no_session", "debian_12", {}, "fails"),
    ("P14.no_session", "debian_12", V1, "runs"),
    ("D15.with_linger", "debian_12", {}, "running"),
    ("D15.without", "debian_12", {}, "not running"),
    ("D15.without", "centos_7", {}, NA),
    ("D15.with_linger", "debian_12", {"ip_tables-module": "available"}, "running"),
    ("D15.with_linger", "photon_4", {}, "running"),
    ("D15.with_linger", "photon_4", {"ip_tables-module": "available"}, "not running"),
    ("D15.without", "photon_4", {"ip_tables-module": "available"},
     "not running, nor after a login"),
    ("M18", "debian_12", {}, "starts"),
    ("M18", "docker_19_03", {}, "refused"),
    ("M18.accepted", "docker_19_03", {}, "starts"),
    ("P3", "docker_19_03", {}, "refused"),
)

HELPERS: tuple[Case, ...] = (
    ("M3", "debian_12", {}, "newgidmap newuidmap"),
    ("M3", "debian_12", {"newgidmap": "missing"}, "newuidmap"),
    ("M3.newuidmap", "debian_12", {}, "missing: newuidmap"),
    ("M3.newgidmap", "debian_12", {}, "satisfied"),
    ("M3.newgidmap", "debian_13", {}, "smoke test fails"),
    ("M3.newgidmap", "debian_13", {"engine": "25.0.3"}, "satisfied"),
    ("M3.newgidmap", "debian_13", {"engine": "27.1.1"}, "smoke test fails"),
    ("M3.newgidmap", "debian_13", {"engine": "27.1.2"}, "satisfied"),
    ("M3.start", "debian_12", {}, "fails: newgidmap"),
    ("M3.powerless", "debian_12", {}, "fails: newuidmap"),
    ("D5", "debian_12", {}, "setuid root"),
    ("D5", "debian_12", {"newgidmap": "file capabilities"}, "setuid root/file capabilities"),
    ("D5", "debian_12", {"newuidmap": "more than it needs"}, "more than it needs/setuid root"),
    ("M4", "debian_12", {}, "uidmap"),
    ("M4", "photon_4", {}, NA),
    ("P5", "photon_4", {}, "shadow"),
    ("P5", "debian_12", {}, NA),
    ("P4", "photon_4", {}, True),
    ("P4", "photon_4", {"engine": "20.10.13"}, True),  # promised, so an old one violates it
    ("P7", "photon_4", {}, "satisfied"),
    ("P7", "photon_4", {"ip_tables-module": "available"}, "missing: ip_tables"),
    ("P7.storage", "photon_4", {}, "vfs"),
    ("P7.storage", "photon_4", {"driver-directories": "fuse-overlayfs"}, "vfs"),
    ("P7.storage", "photon_4", {"overlay-in-userns": "yes"}, "overlay2"),
    ("P7.storage", "photon_4", {"newuidmap": "missing"}, "fails: newuidmap"),
    ("P7.storage", "debian_12", {}, NA),
    ("M10", "centos_7", {}, "shadow-utils"),
    ("P6", "debian_12", {}, True),
    ("P6", "debian_12", {"subordinate-gids": "65535"}, False),
    ("P6.high_id", "debian_12", {}, 65536),
    ("P6.high_id", "debian_12", {"subordinate-uids": "1000"}, 1000),
    ("P6.check_65535", "debian_12", {}, "satisfied"),
    ("P6.accepted_65536", "debian_12", {}, "satisfied"),
    ("P6.load_65535_of_65535", "debian_12", {}, "loads"),
    ("P6.load_65536_of_65535", "debian_12", {}, "lchown error"),
    ("P6.load_65536_of_65536", "debian_12", {}, "loads"),
    ("P6.load_65537_of_65536", "debian_12", {}, "lchown error"),
    ("M5", "debian_12", {}, "loads"),
    ("M5", "debian_12", {"subordinate-uids": "65533"}, "lchown error"),
    ("M5.too_small", "debian_12", {}, "lchown error"),
    ("D6", "debian_12", {"subordinate-uids": "70000"}, 70000),
    ("D7", "debian_12", {}, "100000-165535"),
)

KERNEL: tuple[Case, ...] = (
    *(
        (f"{claim}.{aspect}", "debian_12", {}, value)
        for claim in ("P11", "M6", "M7")
        for aspect, value in (
            ("without", "missing: userns_clone"),
            ("start", "fails: operation not permitted"),
            ("cured", "satisfied"),
            ("start_cured", "starts"),
        )
    ),
    ("M6.without", "debian_12", {"userns-clone": "absent"}, NA),
    ("M9.without", "debian_12", {}, "missing: max_user_namespaces"),
    ("M9.start", "debian_12", {}, "fails: no space left on device"),
    ("M9.cured", "debian_12", {"max-user-namespaces": "0"}, "satisfied"),
    ("M9.one", "debian_12", {}, "satisfied"),
    ("M9.start", "debian_12", {"max-user-namespaces": "absent"}, NA),
    ("M7.lasting", "arch_rolling", {}, NA),
    ("M7.lasting", "arch_rolling", {"userns-clone": "1"}, "lasts"),
    ("M8", "debian_12", {}, NA),
    ("M8", "debian_12", {"iptables": "legacy"}, "satisfied"),
    ("M8.without", "debian_14", {"iptables": "legacy"}, "missing: ip_tables"),
    ("M8.start", "debian_12", {"iptables": "legacy"}, "fails: ip_tables"),
    ("M8.nft_start", "debian_12", {}, "starts"),
    ("M8.nft_start", "debian_12", {"ip_tables-module": "available"}, "starts"),
    ("M8.nft_start", "debian_12", {"iptables": "legacy"}, NA),
)

REST: tuple[Case, ...] = (
    ("P1", "debian_12", {}, "rootless"),
    ("P1", "debian_12", {"user-groups": "docker"}, "not rootless"),
    ("P1", "debian_12", {"privileged-binaries": "runc"}, "rootless"),
    ("P1", "debian_12", {"privileged-binaries": "slirp4netns"}, "not rootless"),
    ("P1", "debian_12", {"privileged-binaries": "rootlesskit"}, NA),
    ("P1", "debian_12", CAPABLE, "rootless"),
    ("R7", "debian_12", {"rootlesskit-capabilities": "cap_sys_admin"}, "not rootless"),
    ("M1", "debian_12", {}, "mnt net user"),
    ("M1", "newest", {}, "mnt user"),
    ("M2", "debian_12", {}, "only helpers"),
    ("M2", "debian_12", CAPABLE, "also: rootlesskit"),
    ("M2", "debian_12", {"privileged-binaries": "dockerd runc"}, "only helpers"),
    ("M2", "debian_12", {"privileged-binaries": "docker"}, "also: docker"),
    ("D2", "debian_12", {"user-groups": "sudo"}, "privilege at hand"),
    ("M13", "debian_12", {}, "absent"),
    ("M13", "debian_12", {"mandatory-access": "none"}, NA),
    ("M13.profile", "debian_12", {}, "unconfined"),
    ("M19", "debian_12", {}, "/run/user/1000/docker.sock"),
    ("M19.others", "debian_12", {}, "none"),
    ("M20", "debian_12", {}, "~/.local/share/docker"),
    ("M27", "newest", {"engine": "29.4.3"}, "answers"),
    ("M27", "newest", {}, NA),
    ("M27.unpublished", "debian_14", {}, "unreachable"),
    ("M27.unpublished", "newest", {}, NA),
    ("M27.elsewhere", "debian_12", {}, "answers"),
    ("M21", "debian_12", {}, "/run/user/1000/docker"),
    ("M22", "debian_12", {}, "takes effect"),
    ("M22.wrong_path", "debian_12", {}, "no effect"),
    ("M23", "debian_12", {}, "enters"),
    ("M23", "newest", {}, NA),
    ("M28", "debian_12", {}, "no answer"),
    ("M28", "debian_12", {"ping-group-range": "0 2147483647"}, "answers"),
    ("M28", "debian_12", {"ping-group-range": "1001 2000"}, "no answer"),
    ("M28.open", "debian_12", {}, "answers"),
    ("M28.closed", "debian_12", {"ping-group-range": "0 2147483647"}, "no answer"),
    ("M29", "debian_12", {}, "slirp4netns"),
    ("M29", "newest", {"slirp4netns": "missing"}, "gvisor-tap-vsock"),
    ("M29.mtu", "debian_12", {}, 65520),
    ("M29.mtu", "newest", {"slirp4netns": "missing"}, 65520),
    ("M29.mtu_device", "newest", {"slirp4netns": "missing"}, 65520),
    ("M29.without_slirp4netns", "debian_12", {}, "fails: network driver"),
    ("M29.without_slirp4netns", "debian_13", {}, "fails: network driver"),
    ("M29.without_slirp4netns", "debian_14", {}, "fails: unknown network mode"),
    ("M29.without_slirp4netns", "newest", {"engine": "29.0.0"}, "fails: network driver"),
    ("M29.without_slirp4netns", "newest", {"engine": "29.4.3"}, "fails: network driver"),
    ("M29.without_slirp4netns", "newest", {}, "starts: gvisor-tap-vsock"),
    ("M29.old_slirp4netns", "debian_12", {}, "fails: network driver"),
    ("M29.named_by_version", "debian_12", {}, "no rootlesskit"),
    ("M29.named_by_version", "debian_13", {}, "slirp4netns builtin"),
    ("M31.with_entry", "debian_12", {}, NA),
    ("D19.seccomp", "debian_12", {}, "default"),
    ("D19.seccomp", "debian_13", {}, "builtin"),
    ("D19.cgroupns", "debian_12", {}, True),
    ("D19.cgroupns", "photon_4", {}, False),
    ("D19.context", "debian_12", {}, "rootless"),
    ("D19.context", "debian_11", {}, "default"),
    ("D19.context_login", "debian_12", {}, "rootless"),
    ("D19.context_login", "debian_11", {}, "default"),
    ("R8", "debian_12", {}, NA),
    ("R16", "debian_12", {}, NA),
    ("R20", "debian_12", {}, "contained"),
)


FORWARDING: tuple[Case, ...] = (
    ("P15.elsewhere", "photon_4", {}, "answers"),
    ("P15.elsewhere", "debian_12", {"port-boundary": "9000"}, "no answer"),
    ("P15.udp", "debian_12", {}, "answers"),
    ("P15.udp", "debian_12", {"port-boundary": "6000"}, "refused"),
    ("P15.udp_low_port", "debian_12", {}, "refused"),
    ("P15.udp_low_port", "debian_12", {"port-boundary": "53"}, "published"),
    ("P15.udp_low_port", "debian_12", CAPABLE, "published"),
    ("P15.tcp6", "debian_12", {}, "answers"),
    ("P15.tcp6", "debian_11", {}, "no answer"),
    ("P15.tcp6", "debian_12", {"port-boundary": "9000"}, "refused"),
    ("P15.udp6", "debian_12", {}, "answers"),
    ("P15.udp6", "debian_12", {"ipv6": "no"}, NA),
    ("P15.udp6", "debian_11", {}, "no answer"),
    ("P15.udp6", "debian_12", {"port-boundary": "6000"}, "refused"),
    ("P15.source", "debian_12", {}, "not the client's"),
    ("P15.source_slirp4netns", "debian_12", {}, "the client's"),
    ("P15.source_slirp4netns", "debian_12", {"rootlesskit": "missing"}, NA),
    ("P15.exit_slirp4netns", "debian_12", {}, 125),
    ("P15.exit_slirp4netns", "debian_12", {"port-boundary": "0"}, 0),
    ("M29.port_driver_chosen", "debian_12", {}, "slirp4netns"),
    ("M29.port_driver_chosen", "debian_12", {"slirp4netns": "missing"}, NA),
)

MISSING: tuple[Case, ...] = (
    ("D8.newuidmap+iptables", "debian_12", {}, "missing: newuidmap, iptables"),
    ("D8.newuidmap+iptables", "debian_12", {"rootful-socket": "writable"},
     "refused: rootful Docker"),
    ("D8.newuidmap+iptables", "arch_rolling", {}, "missing: newuidmap"),
    ("D8.iptables+subuid", "arch_rolling", {}, "missing: iptables"),
    ("D8.subuid+subgid", "arch_rolling", {}, "missing: subuid, subgid"),
    ("D8.newuidmap+module", "debian_12", {}, "missing: newuidmap, ip_tables"),
    ("D8.newuidmap+module", "debian_14", {}, "missing: newuidmap, nf_tables"),
    ("D8.iptables+module", "debian_14", {}, "missing: iptables, nf_tables"),
    # Without iptables the tool has no reason to ask for the module of the legacy one.
    ("D8.iptables+module", "debian_14", {"iptables": "legacy"}, "missing: iptables"),
    ("D8.userns_clone+subgid", "debian_12", {}, "missing: userns_clone, subgid"),
    ("D8.userns_clone+subgid", "debian_12", {"userns-clone": "absent"}, NA),
    ("D8.subuid+subgid", "debian_12", {}, "missing: subuid, subgid"),
    ("D8.subuid+subgid", "debian_14", {"engine": "28.2.2"}, "silent failure"),
    ("D8.iptables+subuid", "debian_12", {"newuidmap": "missing"},
     "missing: newuidmap, iptables, subuid"),
    ("D8.skip_iptables", "debian_12", {}, "installed"),
    ("D8.skip_iptables", "debian_12", {"newuidmap": "missing"}, "failed: missing: newuidmap"),
    ("D8.skip_iptables", "debian_12", {"ip_tables-module": "available"}, "installed"),
    ("D8.skip_iptables_flag", "debian_12", {}, "--iptables=false"),
    ("D8.skip_iptables_flag", "debian_12", SU, NA),
    ("D8.skip_iptables_needless", "debian_12", {}, "no flag"),
    ("D8.skip_iptables_needless", "debian_12", {"ip_tables-module": "available"},
     "--iptables=false"),
    ("D8.streams", "debian_12", {}, "apart"),
    ("D8.order", "debian_12", {}, "uname; root; dockerd-rootless.sh; HOME; "
     "refused: rootful Docker; refused: XDG_RUNTIME_DIR; missing: newuidmap"),
    ("D8.order", "debian_12", SU, "uname; root; dockerd-rootless.sh; HOME; "
     "refused: rootful Docker; missing: newuidmap"),
    ("D8.order", "newest", {"engine": "29.4.0"}, "uname; root; dockerd-rootless.sh; HOME; "
     "refused: rootful Docker; refused: XDG_RUNTIME_DIR; refused: containerd-rootless; "
     "missing: newuidmap"),
    ("D8.order", "newest", {"engine": "29.3.0"}, "uname; root; dockerd-rootless.sh; HOME; "
     "refused: rootful Docker; refused: XDG_RUNTIME_DIR; missing: newuidmap"),
)

UNINSTALL: tuple[Case, ...] = (
    ("D13.uninstall", "debian_12", {}, "exit 0, daemon inactive, unit removed"),
    ("D13.uninstall", "debian_12", SU, NA),
    ("D13.uninstall_context", "debian_12", {}, "default, rootless removed"),
    ("D13.uninstall_context", "debian_11", {}, "default, rootless never made"),
    ("D13.uninstall_keeps", "suite_layout", {}, NA),
    ("D13.reinstall", "debian_12", {}, "installed, with the image of before"),
    ("D13.install_twice", "debian_12", {}, "installed, unit untouched"),
    ("D13.install_twice_said", "debian_11", {}, "exists, installed, variables"),
    ("D13.install_twice_said", "debian_14", {},
     "exists, installed, context exists, context used, variables, another"),
    ("D13.install_twice_said", "debian_12", SU, NA),
    ("D13.install_twice_said", "newest", {}, NA),
)

TRIALS: tuple[Case, ...] = (
    ("M25.no_session", "debian_12", {}, "systemd"),
    ("M25.no_session", "debian_12", V1, "none"),
    ("M25.no_session", "docker_19_03", {}, "none"),
    ("M15", "debian_12", {}, "attaching fails"),
    ("M15.rootful_control", "debian_12", {}, "works"),
    ("M30", "debian_12", {}, "measured"),
    ("M30", "debian_12", {"slirp4netns": "missing"}, NA),
    ("M31.traffic", "debian_12", {}, NA),
    ("M11.without_fuse-overlayfs", "debian_12", {}, "overlay2"),
    ("M11.without_fuse-overlayfs", "debian_11", {}, "vfs"),
    ("M11.without_fuse-overlayfs", "newest", {"overlay-in-userns": "no"}, "native"),
    ("M11.without_fuse_device", "debian_12", {}, "overlay2"),
    ("M11.without_fuse_device", "debian_11", {}, "fuse-overlayfs, no container"),
    ("P14", "debian_11", {"fuse-device": "no"}, NA),
    ("P14", "debian_12", {"fuse-device": "no"}, 0),
    ("M11.permit_mounts", "debian_11", {}, "overlay2"),
    ("M11.two_left", "debian_12", {}, "fails: storage driver"),
    ("M29.mtu_chosen", "debian_12", {}, "slirp4netns 1500"),
    ("M29.mtu_chosen", "debian_14", {"engine": "28.5.1"}, "slirp4netns 1500"),
    ("M29.mtu_chosen", "debian_14", {}, "slirp4netns 65520"),
    ("M29.mtu_chosen", "newest", {"slirp4netns": "missing"}, NA),
    ("M29.rootlessctl", "debian_11", {}, "slirp4netns builtin"),
    ("M29.rootlessctl", "debian_12", {"rootlessctl": "missing"}, NA),
    ("M29.rootlessctl", "debian_11", {"rootlesskit-version": "0.13.0"}, NA),
    ("M29.pasta_instead", "debian_12", {}, "fails: network driver"),
    ("M29.pasta_instead", "debian_14", {}, "starts: pasta"),
    ("M30.pasta", "debian_12", {}, NA),
    ("M30.pasta", "debian_14", {}, "measured"),
    ("D6.start_without", "debian_12", {}, "fails: subuid"),
    ("D6.start_without", "debian_12", {"rootlesskit": "missing"}, "fails: rootlesskit"),
    ("D7.example", "debian_12", {}, "231072-296607"),
    ("D8.block", "debian_12", {"userns-clone": "0"}, "satisfied"),
    ("D8.block", "debian_12", {"newuidmap": "missing"}, "missing: newuidmap"),
    ("D8.block", "debian_14", {"engine": "28.2.2"}, NA),
    ("D8.subuid_line", "debian_12", {}, "100000:65536"),
    ("D8.subuid_line", "debian_14", {"engine": "28.2.2"}, NA),
    ("D8.subuid_command", "debian_12", {}, 'echo "tester:100000:65536" >> /etc/subuid'),
    ("D8.subuid_command", "debian_14", {"engine": "28.2.2"}, NA),
    ("D8.subgid_command", "debian_12", {}, 'echo "tester:100000:65536" >> /etc/subgid'),
    ("D8.subgid_command", "debian_12", {"rootful-socket": "writable"}, NA),
    ("D8.subgid_command", "debian_14", {"engine": "28.2.2"}, NA),
    ("D8.iptables_way_out", "debian_12", {}, "named"),
    ("D8.iptables_way_out", "arch_rolling", {}, "not named"),
    ("D8.iptables_way_out", "debian_12", {"rootful-socket": "writable"}, "not named"),
    ("D8.no_manager", "debian_12", {}, "missing: newuidmap"),
    ("D8.no_manager", "debian_12", {"rootful-socket": "writable"}, "refused: rootful Docker"),
    ("P12.start_without_rootlesskit", "debian_12", {}, "fails: rootlesskit"),
    ("D13.unit_requires", "debian_12", {}, False),
    ("D13.unit_requires", "debian_14", {}, True),
    ("D13.unit_requires", "debian_12", SU, NA),
    ("D13.unit_settings", "debian_11", {}, UNIT),
    ("D13.unit_settings", "debian_14", {},
     UNIT.replace("Access=none", "Access=all").replace("simple", "notify")),
    ("D13.unit_settings", "debian_12", SU, NA),
    ("D13.unit_lines", "debian_11", {}, LINES),
    ("D13.unit_lines", "debian_14", {},
     LINES.replace("Restart ", "NotifyAccess Requires Restart ")),
    ("D13.unit_lines", "debian_12", SU, NA),
    ("D13.unit_command", "debian_12", {}, "/usr/bin/dockerd-rootless.sh"),
    ("D13.unit_command", "debian_12", SU, NA),
    ("D13.context_host", "debian_12", {}, "unix:///run/user/1000/docker.sock"),
    ("D13.context_host", "debian_12", {"user-session": "no"}, "unix:///run/user/1000/docker.sock"),
    ("D13.context_host", "debian_11", {}, NA),
    ("D13.context_host", "debian_12", SU, NA),
    ("P12.leaves", "debian_12", {}, "nothing"),
    ("P12.leaves", "debian_12", SU, NA),
    ("D13.login", "debian_12", {}, "none"),
    ("D13.flags", "debian_12", {}, "none"),
    ("D13.flags", "debian_12", {"newuidmap": "missing"}, NA),
    ("D13.login_programs", "debian_12", {}, "none"),
    ("D13.uninstall_said", "debian_11", {}, "uninstalled, kept, how to"),
    ("D13.uninstall_said", "debian_12", {},
     "uninstalled, context deleted, default, unset, kept, how to"),
    ("D13.uninstall_said", "debian_12", SU, NA),
    ("M18.as_root", "debian_11", {}, NA),
    ("M18.as_root", "debian_12", {},
     "This script must be executed as a non-privileged user, exit 1"),
    ("M18.no_runtime_directory", "debian_11", {}, NA),
    ("M18.no_runtime_directory", "debian_14", {},
     "XDG_RUNTIME_DIR needs to be set and writable, exit 1"),
    ("M25.cgroupfs_setting", "debian_12", {}, "none"),
    ("M25.cgroupfs_setting", "debian_12", {"cgroup": "v1"}, "none"),
    ("M25.cgroupfs_setting", "debian_12", {"cgroup-driver-setting": "systemd"}, NA),
    ("M25.cgroupfs_setting", "docker_19_03", {}, NA),
    ("M29.host_loopback", "debian_12", {}, "no answer"),
    ("M29.host_loopback", "debian_14", {"slirp4netns": "missing"}, NA),
    ("M29.sandbox", "debian_11", {}, "--enable-sandbox --enable-seccomp"),
    ("M29.sandbox", "newest", {"slirp4netns": "missing"}, NA),
    ("M29.words", "newest", {}, NA),
    ("M29.words", "docker_19_03", {}, NA),
    ("P15.host_ip", "debian_12", {}, "127.0.0.1 alone"),
    ("P15.host_ip", "debian_12", {"port-boundary": "8081"}, "refused"),
    ("P15.removed", "debian_12", {}, "refused"),
    ("P16.lasting_file", "debian_13", {}, "lasts"),
    ("M28.lasting_file", "debian_14", {}, "lasts"),
)


def _all() -> tuple[Case, ...]:
    return (
        *STORAGE, *CGROUP, *PORTS, *TOOL, *INSTALL, *HELPERS, *KERNEL, *REST,
        *FORWARDING, *MISSING, *UNINSTALL, *TRIALS,
    )  # fmt: skip


def _cases() -> Iterator[object]:
    for case in _all():
        key, machine, changes, _ = case
        text = ",".join(f"{name}={value}" for name, value in changes.items())
        yield pytest.param(*case, id=f"{key}-{machine}{'-' if text else ''}{text}")


@pytest.mark.parametrize(("key", "machine", "changes", "expected"), list(_cases()))
def test_prediction(
    key: str,
    machine: str,
    changes: Mapping[str, str],
    expected: Value,
    request: pytest.FixtureRequest,
) -> None:
    facts: Facts = assume(request.getfixturevalue(machine), changes)
    found = predict(key, facts)
    if expected == NA:
        assert not found.applies, found
    else:
        assert found.applies, found
        assert (found.value, type(found.value)) == (expected, type(expected)), found.because


def test_the_cases_name_rules_that_exist() -> None:
    assert {case[0] for case in _all()} <= set(RULES)


@pytest.mark.parametrize(("sh", "expected"), [("dash", 2), ("bash", 1)])
def test_the_exit_status_of_a_shell_that_trips(sh: str, expected: int, debian_12: Facts) -> None:
    facts = replace(assume(debian_12, {"runtime-directory": "unset"}), sh=sh)
    assert predict("P12.exit", facts).value == expected
    assert predict("P12.exit", replace(debian_12, sh=sh)).value == 0


APT_GET = Binary("/usr/bin/apt-get", 0, 0o755)


@pytest.mark.parametrize(
    ("manager", "owner", "twin", "expected"),
    [
        ("apt-get", "uidmap", False, "apt-get install -y uidmap"),
        ("yum", "shadow-utils", False, "yum install -y shadow-utils"),
        ("yum", "shadow", False, "yum install -y shadow"),  # of Photon; the tool says shadow-utils
        ("dnf", "uidmap", True, "dnf install -y shadow-utils"),  # the package is the twin's
    ],
)
def test_what_brings_newuidmap(
    manager: str, owner: str, twin: bool, expected: str, debian_12: Facts
) -> None:
    managers = {name: APT_GET if name == manager else None for name in INSTALLERS}
    helper = replace(debian_12.binaries["newuidmap"] or APT_GET, package=owner)
    binaries = {**debian_12.binaries, **managers, "newuidmap": helper}
    release = {"VARIANT_ID": "twin"} if twin else {}
    facts = replace(debian_12, binaries=binaries, os_release=release)
    assert predict("D8.newuidmap_command", facts).value == expected
    assert predict("D8.iptables_command", facts).value == f"{manager} install -y iptables"
