"""Reading a guest's words into the values that the rules use."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.guest.facts import Binary, Facts
from harness.guest.session import Result
from harness.rootless import installing, kit, setuptool
from harness.rootless.expectations import (
    cgroup,
    ids,
    lines,
    network,
    paths,
    ports,
    predict,
    usage,
)
from harness.rootless.expectations.installed import lines as lines_of_unit
from harness.rootless.expectations.model import OTHERWISE
from harness.rootless.expectations.requirements import install, missing_in, tool_directory
from harness.rootless.expectations.start import reason_in
from harness.rootless.expectations.versions import (
    kernel_at_least,
    rootlesskit_at_least,
    tool_between,
    tool_version,
)
from harness.rootless.looking import confinement
from harness.rootless.setuptool import ToolResult
from harness.rootless.traits.tools import KNOWN_TOOLS

# dockerd-rootless-setuptool.sh check of 20.10.24, with newuidmap renamed and the switch at 0
INSTRUCTIONS = """\
[ERROR] Missing system requirements. Run the following commands to
[ERROR] install the requirements and run this tool again.

########## BEGIN ##########
sudo sh -eux <<EOF
# Install newuidmap & newgidmap binaries
apt-get install -y uidmap
# Set kernel.unprivileged_userns_clone
cat <<EOT > /etc/sysctl.d/50-rootless.conf
kernel.unprivileged_userns_clone = 1
EOT
sysctl --system
EOF
########## END ##########
"""


HELP = """\
Usage: /usr/bin/dockerd-rootless-setuptool.sh [OPTIONS] COMMAND

A setup tool for Rootless Docker (dockerd-rootless.sh).

Documentation: https://docs.docker.com/go/rootless/

Options:
  -f, --force                Ignore rootful Docker (/var/run/docker.sock)
      --skip-iptables        Ignore missing iptables

Commands:
  check        Check prerequisites
  install      Install systemd unit (if systemd is available) and show how to manage the service
  uninstall    Uninstall systemd unit
"""


def test_the_usage_is_read_whatever_the_spaces() -> None:
    assert usage.said(HELP) == "as documented"
    assert usage.said(HELP.replace("  ", " ")) == "as documented"
    changed = HELP.replace("Ignore missing", "Do without")
    assert usage.said(changed) == (
        "--skip-iptables Do without iptables, for: --skip-iptables Ignore missing iptables"
    )


def test_the_usage_is_all_there_and_in_its_order() -> None:
    old = HELP.replace("/go/rootless/", "/engine/security/rootless/")  # of 20.10.5
    assert usage.said(old) == "as documented"
    assert usage.said(HELP.replace("docker.com", "example.com")) != "as documented"
    more = HELP.replace("\nCommands:", "      --purge   Remove all data\n\nCommands:")
    assert usage.said(more) == "--purge Remove all data, for: Commands:"
    assert usage.said(HELP.rpartition("  uninstall")[0]) == (
        "nothing, for: uninstall Uninstall systemd unit"
    )


NSENTER = "  nsenter      Enter into RootlessKit namespaces (mostly for debugging)\n"


def test_nsenter_is_explained_where_it_is_listed() -> None:
    listed = HELP.replace("  install ", f"{NSENTER}  install ", 1)
    assert usage.said(listed) == "as documented"
    changed = usage.said(listed.replace("Enter into", "Leave"))
    assert changed.endswith(f", for: {usage.NSENTER}")


def test_the_command_that_installs_what_is_missing() -> None:
    told = ToolResult(1, INSTRUCTIONS, "", "")
    assert installing.command_for(told, "newuidmap") == "apt-get install -y uidmap"
    assert installing.command_for(told, "iptables") == "no command"


# dockerd-rootless-setuptool.sh install of 20.10.24, without a line in /etc/subgid
NO_SUBGID = """\
########## BEGIN ##########
sudo sh -eux <<EOF
# Add subgid entry for tester
echo "tester:100000:65536" >> /etc/subgid
EOF
########## END ##########
"""


def test_the_command_that_appends_ids(debian_12: Facts) -> None:
    told = ToolResult(1, NO_SUBGID, "", "")
    assert installing.id_command(told, "/etc/subgid") == predict("D8.subgid_command",
                                                                 debian_12).value  # fmt: skip
    assert installing.id_command(told, "/etc/subuid") == "no command"


def test_the_streams_of_the_tool() -> None:
    right = ToolResult(1, NO_SUBGID, "[ERROR] Missing system requirements.\n+ sleep 3\n", "")
    wrong = ToolResult(1, "[ERROR] No command was specified.\n", "", "")
    astray = ToolResult(0, "", "[INFO] Requirements are satisfied\n", "")
    assert setuptool.streams(right) == "apart"
    assert setuptool.streams(right, wrong) == "on stdout: [ERROR] No command was specified."
    assert setuptool.streams(astray) == "on stderr: [INFO] Requirements are satisfied"


def test_a_port_is_refused_by_its_number() -> None:
    said = "PortManager.AddPort(): cannot expose privileged port 80, you can add 'net.ipv4."
    assert ports.refused(80, said)
    assert not ports.refused(8, said)
    assert not ports.refused(1023, said)


# dockerd-rootless-setuptool.sh install of 20.10.24, without what the daemon says
INSTALLED = """\
[INFO] Creating /home/tester/.config/systemd/user/docker.service
[INFO] starting systemd service docker.service
[INFO] Installed docker.service successfully.
[INFO] To control docker.service, run: `systemctl --user (start|stop|restart) docker.service`
[INFO] Creating CLI context "rootless"
[INFO] Use CLI context "rootless"

[INFO] Make sure the following environment variables are set (or add them to ~/.bashrc):

export PATH=/usr/bin:$PATH
Some applications may require the following environment variable too:
export DOCKER_HOST=unix:///run/user/1000/docker.sock
"""


def test_what_install_says_it_has_done(debian_12: Facts) -> None:
    assert ", ".join(installing.lines(INSTALLED)) == predict("D13.said", debian_12).value
    assert "created" not in installing.lines(INSTALLED.replace("Creating /", "Making /"))


def test_what_install_says_has_an_order() -> None:
    first, _, rest = INSTALLED.partition("\n")
    assert installing.lines(f"{rest}{first}\n")[-1] == "created"


# dockerd-rootless-setuptool.sh uninstall of 26.1.5
UNINSTALLED = """\
+ systemctl --user stop docker.service
+ systemctl --user disable docker.service
[INFO] Uninstalled docker.service
[INFO] Deleted CLI context "rootless"
[INFO] Configured CLI to use the "default" context.
[INFO]
[INFO] Make sure to unset or update the environment PATH, DOCKER_HOST, and DOCKER_CONTEXT \
environment variables if you have added them to `~/.bashrc`.
[INFO] This uninstallation tool does NOT remove Docker binaries and data.
[INFO] To remove data, run: `/usr/bin/rootlesskit rm -rf /home/tester/.local/share/docker`
"""


def test_what_uninstall_says(debian_13: Facts) -> None:
    said = installing.lines(UNINSTALLED, lines.UNINSTALL)
    assert ", ".join(said) == predict("D13.uninstall_said", debian_13).value
    other = UNINSTALLED.replace("does NOT remove", "removes")
    assert "kept" not in installing.lines(other, lines.UNINSTALL)


def test_the_options_of_rootlesskit(debian_12: Facts) -> None:
    # dockerd-rootless.sh of 20.10.24, and an option of a dockerd that does not count
    line = (
        "rootlesskit --net=slirp4netns --mtu=65520 --slirp4netns-sandbox=auto "
        "--slirp4netns-seccomp=auto --disable-host-loopback --port-driver=builtin --copy-up=/etc "
        "--copy-up=/run --propagation=rslave /usr/bin/dockerd-rootless.sh --net=none"
    )
    said = Result(("tr",), 0, "\n".join(line.split()), "", 1.0)
    own = ("net", "mtu", "port-driver", "state-dir")
    assert kit.options(said, *own) == predict("M29.words", debian_12).value
    less = replace(said, stdout=said.stdout.replace("--disable-host-loopback\n", ""))
    assert "loopback" not in kit.options(less, *own)


def test_the_lines_of_a_unit() -> None:
    unit = (
        "[Service]\nEnvironment=PATH=/usr/bin:/sbin\nExecStart=/bin/a --b=c\nType=simple\n"
        "# Nice=19\nEnvironment=\"HTTPS_PROXY=http://p/?a=b\" NO_PROXY=c\nStandardOutput=null\n"
    )
    assert lines_of_unit(unit) == (
        "Environment=HTTPS_PROXY Environment=NO_PROXY Environment=PATH ExecStart StandardOutput "
        "Type"
    )


def test_a_layer_with_too_high_an_id() -> None:
    told = "ApplyLayer exit status 1 stdout:  stderr: lchown /owned: invalid argument"
    assert re.search(ids.TOO_SMALL, told)
    newer = (
        'failed to Lchown "owned" for UID 65537, GID 65537 (try increasing the number of '
        "subordinate IDs in /etc/subuid and /etc/subgid): lchownat owned: invalid argument"
    )
    assert re.search(ids.TOO_SMALL, newer)
    assert not re.search(ids.TOO_SMALL, "lchown /owned: operation not permitted")


def test_instructions_are_read() -> None:
    assert missing_in(INSTRUCTIONS) == ("newuidmap", "userns_clone")
    assert missing_in("[INFO] Requirements are satisfied") == ()
    other_way_round = "# Set kernel.unprivileged_userns_clone" + INSTRUCTIONS.split("uidmap\n")[1]
    text = f"{other_way_round}\n# Install newuidmap & newgidmap binaries"
    assert missing_in(text) == ("userns_clone", "newuidmap")


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("rootlesskit needs to be installed", "rootlesskit"),
        ("Either slirp4netns (>= v0.4.0) or vpnkit needs to be installed", "network driver"),
        (
            "One of slirp4netns (>= v0.4.0), pasta (passt >= 2023_12_04), or vpnkit needs to be "
            "installed\n[rootlesskit:parent] error: unknown network mode: ",
            "unknown network mode",
        ),
        ('configured driver "fuse-overlayfs" not available: unavailable', "storage driver"),
        (
            "[rootlesskit:parent] error: failed to start the child: "
            "fork/exec /proc/self/exe: operation not permitted",
            "operation not permitted",
        ),
        (
            "[rootlesskit:parent] error: failed to start the child: "
            "fork/exec /proc/self/exe: no space left on device",
            "no space left on device",
        ),
        (
            "[rootlesskit:parent] error: failed to setup UID/GID map: failed to compute uid/gid "
            'map: No subuid ranges found for user 1000 ("tester")',
            "subuid",
        ),
        (
            "[rootlesskit:parent] error: failed to setup UID/GID map: newgidmap 11432 "
            '[0 1000 1 1 100000 65536] failed: : exec: "newgidmap": executable file not found',
            "newgidmap",
        ),
        (
            "[rootlesskit:parent] error: failed to setup UID/GID map: newuidmap 11452 "
            '[0 1000 1 1 100000 65536] failed: : exec: "newuidmap": executable file not found',
            "newuidmap",
        ),
        (  # it has the bit no more
            "[rootlesskit:parent] error: failed to setup UID/GID map: newuidmap 1159 [0 1000 1 1 "
            "100000 65536] failed: newuidmap: write to uid_map failed: Operation not permitted",
            "newuidmap",
        ),
        (
            "failed to start daemon: Error initializing network controller: error obtaining "
            "controller instance: failed to create NAT chain DOCKER: Iptables not found",
            "iptables",
        ),
        ("+ exec rootlesskit --net=slirp4netns: iptables and newuidmap are only mentioned", ""),
        ("API listen on /run/user/1000/docker.sock", ""),
    ],
)
def test_the_log_gives_the_reason(log: str, reason: str) -> None:
    assert reason_in(log) == reason


def test_the_tool_is_known_by_its_content(debian_12: Facts) -> None:
    assert tool_version(replace(debian_12, engine="26.1.5")) == (20, 10, 24)
    assert tool_version(replace(debian_12, engine="26.1.5", setuptool_sha256="")) == (26, 1, 5)


def test_the_tools_of_every_debian_suite_are_known() -> None:
    assert sorted(KNOWN_TOOLS.values()) == ["20.10.24", "20.10.5", "26.1.5", "28.5.2"]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in KNOWN_TOOLS)


def test_ranges_include_the_patch_releases_of_their_end(debian_13: Facts) -> None:
    for version, inside in (("28.0.0", True), ("28.2.2", True), ("28.3.0", False), ("27.5", False)):
        facts = replace(debian_13, engine=version)
        assert tool_between(facts, "28.0.0", "28.2") is inside


def test_versions(debian_12: Facts) -> None:
    assert kernel_at_least(debian_12, "5.11")
    assert not kernel_at_least(replace(debian_12, kernel="5.4.0-1-amd64"), "5.11")
    assert rootlesskit_at_least(replace(debian_12, rootlesskit=""), "0.14.2")


def test_docker_is_looked_for_beside_the_script(debian_12: Facts, suite_layout: Facts) -> None:
    elsewhere = Binary("/usr/local/bin/docker", 0, 0o755)
    wrapped = replace(debian_12, binaries={**debian_12.binaries, "docker": elsewhere})
    assert install(wrapped) == "installed"
    assert install(suite_layout) == "failed: docker not beside the tool"
    assert str(tool_directory(replace(debian_12, setuptool="/usr/local/bin/tool"))) == "/usr/bin"


@pytest.mark.parametrize(
    ("setting", "reported", "holds"),
    [
        ("", "/home/tester/.local/share/docker", True),
        ("", "/home/tester2/.local/share/docker", False),
        ("", "/var/lib/docker", False),
        ("/home/tester/data", "/home/tester/data", True),
        ("/home/tester/data/", "/home/tester/data", True),
        ("/srv//data", "/srv/data", True),
        ("/srv/data", "/home/tester/.local/share/docker", False),
    ],
)
def test_a_data_root_is_compared_as_it_is_set(
    setting: str, reported: str, holds: bool, debian_12: Facts
) -> None:
    facts = replace(debian_12, daemon_json={"data-root": setting} if setting else {})
    seen = paths.data_root(reported, "/home/tester", facts)
    assert (seen == predict("M20", facts).value) is holds




@pytest.mark.parametrize(
    ("label", "word"),
    [
        ("unconfined\n", "unconfined"),
        ("runc (unconfined)\n", "unconfined"),  # Debian forky
        ("docker-default (enforce)\n", "docker-default"),
        ("docker-default (complain)\0", "docker-default"),
        ("", "none"),
    ],
)
def test_confinement(label: str, word: str) -> None:
    assert confinement(label) == word


# of docker.io 20.10.5 and 20.10.24, and of 28.5.2
NO_CONTROLLER = (
    "docker: Error response from daemon: NanoCPUs can not be set, as your kernel does not support "
    "CPU CFS scheduler or the cgroup is not mounted.\nSee 'docker run --help'.",
    "docker: Error response from daemon: failed to create task for container: OCI runtime create "
    "failed: runc create failed: unable to start container process: error during container init: "
    "error setting cgroup config for procHooks process: openat2 "
    "/sys/fs/cgroup/user.slice/docker-1c66670faaca.scope/cpu.max: no such file or directory",
    *(
        "docker: Error response from daemon: failed to create shim "
        "task: OCI runtime create failed: runc create failed: unable to start container process: "
        "error during container init: error setting cgroup config for procHooks process: openat2 "
        "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/"
        f"docker-bf090893779a.scope/{name}: no such file or directory: unknown."
        for name in ("memory.max", "pids.max")
    ),
    "docker: Error response from daemon: OCI runtime create failed: container_linux.go:377: "
    "starting container process caused: process_linux.go:495: container init caused: "
    "process_linux.go:458: setting cgroup config for procHooks process caused: openat2 "
    "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/"
    "docker-263850a9d9e2.scope/memory.swap.max: no such file or directory: unknown.",
)
# of 20.10.24, and of 20.10.5
NO_SCOPE = (
    "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: unable to apply cgroup configuration: "
    'unable to start unit "docker-1c66670faaca.scope"',
    "docker: Error response from daemon: OCI runtime create failed: container_linux.go:377: "
    "starting container process caused: process_linux.go:340: applying cgroup configuration for "
    "process caused: read unix @->/run/systemd/private: read: connection reset by peer: unknown.",
)


@pytest.mark.parametrize(
    ("stderr", "word"),
    [
        *((said, "error") for said in NO_CONTROLLER),
        *((said, "no container") for said in NO_SCOPE),
        ("unknown flag: --cpus\nSee 'docker run --help'.", OTHERWISE),
        ("Unable to find image 'busybox:latest' locally", OTHERWISE),
        ("", OTHERWISE),
    ],
)
def test_why_a_container_with_a_limit_failed(stderr: str, word: str) -> None:
    assert cgroup.refusal(stderr) == word


def test_why_top_failed() -> None:
    without = (
        "Error response from daemon: runc did not terminate successfully: exit status 1: "
        "container_linux.go:186: getting all container pids from cgroups caused: lstat : no such "
        "file or directory\n: unknown"
    )
    assert cgroup.top_failure(without) == "fails"
    assert cgroup.top_failure("Cannot connect to the Docker daemon") == OTHERWISE


def test_pasta_takes_the_place_of_a_missing_slirp4netns(debian_14: Facts) -> None:
    binaries = {**debian_14.binaries, "pasta": debian_14.binaries["slirp4netns"]}
    facts = replace(debian_14, binaries={**binaries, "slirp4netns": None})
    assert predict("M29", facts).value == "pasta"
    assert predict("M29.mtu", facts).value == 65520
    assert predict("M29.port_driver", facts).value == "implicit"


@pytest.mark.parametrize(
    ("stderr", "word"),
    [
        (
            "The server probably has client authentication (--tlsverify) enabled; check your TLS "
            'client certification settings: Get "https://127.0.0.1:2376/v1.24/version": remote '
            "error: tls: bad certificate",
            "refused",
        ),
        ("Cannot connect to the Docker daemon at tcp://127.0.0.1:2376. Is the docker daemon "
         "running?", "unreachable"),
        ("error during connect: context deadline exceeded", OTHERWISE),
        ("x509: certificate signed by unknown authority", OTHERWISE),
    ],
)  # fmt: skip
def test_why_nothing_came_over_tcp(stderr: str, word: str) -> None:
    assert network.tcp_failure(stderr) == word
