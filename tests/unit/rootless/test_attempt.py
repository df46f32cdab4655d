"""What the setup tool and a failed start said, in the words that rules predict with."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.errors import TestbedError
from harness.guest.facts import Facts
from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.rootless import attempt, installing
from harness.rootless.setuptool import ToolResult


def said(exit_status: int, stdout: str = "", stderr: str = "") -> ToolResult:
    return ToolResult(exit_status, stdout, stderr, "")


NO_NEWGIDMAP = (
    "[rootlesskit:parent] error: failed to setup UID/GID map: newgidmap 1232 [0 1000 1 1 100000 "
    '65536] failed: : exec: "newgidmap": executable file not found in $PATH'
)
MISSING = "[ERROR] Missing system requirements. Run the following commands to\n"


def block(*lines: str) -> str:
    commands = "\n".join(("sudo sh -eux <<EOF", *lines, "EOF"))
    return f"########## BEGIN ##########\n{commands}\n########## END ##########\n"


BLOCK = block("modprobe ip_tables")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (said(0, "[INFO] Requirements are satisfied\n"), "satisfied"),
        (said(1, "[INFO] Requirements are satisfied\n"), "unknown answer"),
        (said(1, stderr="[ERROR] Aborting because rootful Docker (/var/run/docker.sock) is "
              "running and accessible. Set --force to ignore.\n"), "refused: rootful Docker"),
        (said(2, stderr="tool: line 250: XDG_RUNTIME_DIR: parameter not set\n"),
         "refused: XDG_RUNTIME_DIR"),
        (said(1, stderr="[ERROR] Docker is running and accessible.\n"), "unknown answer"),
        (said(1, block("# Install newuidmap & newgidmap binaries",
                       'echo "u:100000:65536" >> /etc/subuid'), MISSING),
         "missing: newuidmap, subuid"),
        (said(1, block("cat <<EOT > /etc/sysctl.d/51-rootless.conf",
                       "user.max_user_namespaces = 28633", "EOT"), MISSING),
         "missing: max_user_namespaces"),
        (said(1, "user.max_user_namespaces = 28633\n", MISSING), "unknown answer"),
        (said(1, BLOCK, MISSING), "missing: ip_tables"),
        (said(1, BLOCK.replace("sudo ", ""), MISSING),
         "missing: ip_tables, not for a shell of root"),
        (said(1, "modprobe ip_tables\n", MISSING), "missing: ip_tables, no block"),
        (said(1, stderr=f"[ERROR] newuidmap binary not found. {attempt.ANNOUNCED[1]}"),
         "missing: newuidmap"),
        (said(0, BLOCK, MISSING), "missing: ip_tables, exit 0"),
        (said(3, BLOCK, MISSING), "missing: ip_tables, exit 3"),
        (said(3, stderr=f"[ERROR] {attempt.ROOTFUL}\n"), "refused: rootful Docker, exit 3"),
        (said(1, stderr='[ERROR] Aborting because systemd was detected but XDG_RUNTIME_DIR ("")'),
         "refused: XDG_RUNTIME_DIR"),
        (said(1, "modprobe ip_tables\n", "[ERROR] Sorry.\n"), "missing: ip_tables, unannounced"),
        (said(1), "silent failure"),
        (said(1, stderr="[rootlesskit:parent] error: failed to start the child\n"),
         "smoke test fails"),
    ],
)  # fmt: skip
def test_words_of_check(result: ToolResult, words: str) -> None:
    assert attempt.words_of_check(result) == words


@pytest.mark.parametrize(
    ("stdout", "words"),
    [
        ("[INFO] Installed docker.service successfully.\n", "installed"),
        ("[INFO] systemd not detected, dockerd-rootless.sh needs to be started manually:\n",
         "systemd not detected"),
        ("[INFO] systemd not detected.\n", "systemd not detected, in other words"),
    ],
)
def test_words_of_install(stdout: str, words: str) -> None:
    assert installing.words_of_install(said(0, stdout)) == words


def test_the_start_command_is_the_line_after_what_announces_it() -> None:
    told = (
        "[INFO] systemd not detected, dockerd-rootless.sh needs to be started manually:\n\n"
        "PATH=/usr/bin:/sbin:/usr/sbin:$PATH dockerd-rootless.sh \n\n"
        "[INFO] Creating CLI context"
    )
    line = "PATH=/usr/bin:/sbin:/usr/sbin:$PATH dockerd-rootless.sh"
    assert installing.start_command(said(0, told)) == line
    assert installing.start_command(said(0, "[INFO] Creating CLI context\n")) == ""


@pytest.mark.parametrize(("exit_status", "strange"), [(1, ""), (3, ", exit 3")])
def test_words_of_an_install_whose_daemon_does_not_start(exit_status: int, strange: str) -> None:
    told = said(exit_status, "[INFO] starting systemd service docker.service\n")
    words = f"failed: newgidmap{strange}"
    assert installing.words_of_install(told, NO_NEWGIDMAP) == words


@pytest.mark.parametrize(
    ("exit_status", "log", "words"),
    [
        (0, "newuidmap is only mentioned", "starts"),
        (1, f"dockerd-rootless.sh ended with 1\n{NO_NEWGIDMAP}", "fails: newgidmap"),
        (1, f"dockerd-rootless.sh ended with 3\n{NO_NEWGIDMAP}", "fails: newgidmap, exit 3"),
        (1, "newgidmap, newuidmap and iptables are there", "fails: unknown reason"),
        (1, "fork/exec /proc/self/exe: no space left on device", "fails: no space left on device"),
        (1, "a tale of woe", "fails: unknown reason"),
    ],
)
def test_words_of_start(exit_status: int, log: str, words: str) -> None:
    assert attempt.words_of_start(Result(("start",), exit_status, log, "", 1.0)) == words


class Scripted:
    """A session whose daemon ends in these ways, one after another."""

    def __init__(self, *results: Result) -> None:
        self.results = list(results)

    def run(self, *_: str, **__: object) -> None:
        """Nothing runs that would have to be stopped."""

    def sh(self, *_: str, **__: object) -> Result:
        return self.results.pop(0)


def guest(facts: Facts, *results: Result) -> Guest:
    return cast(Guest, SimpleNamespace(cell="a-1/x86_64", facts=facts, user=Scripted(*results)))


TOO_SLOW = "failed to start containerd: timeout waiting for containerd to start"
SILENT = Result(("start",), 1, TOO_SLOW, "", 1.0)
SLOW = replace(SILENT, stdout=f'level=info msg="starting containerd"\n{SILENT.stdout}')
STARTED = Result(("start",), 0, "the daemon answers", "", 1.0)


def test_a_slow_start_is_tried_again(debian_12: Facts) -> None:
    assert attempt.begin(guest(debian_12, SLOW, STARTED)).outcome == "starts"


def test_a_start_that_stays_slow_says_nothing_about_the_guest(debian_12: Facts) -> None:
    with pytest.raises(TestbedError, match="containerd was not up"):
        attempt.begin(guest(debian_12, SLOW, SLOW))


def test_a_containerd_that_never_said_anything_is_not_slow(debian_12: Facts) -> None:
    answer = attempt.begin(guest(debian_12, SLOW, SILENT))
    assert answer.outcome == "fails: unknown reason"
    assert TOO_SLOW in answer.evidence


def test_a_containerd_that_is_kept_from_its_metadata_is_not_slow(debian_12: Facts) -> None:
    held = f'level=warning msg="waiting for response from boltdb open" plugin=bolt\n{SLOW.stdout}'
    answer = attempt.begin(guest(debian_12, replace(SLOW, stdout=held), STARTED))
    assert answer.outcome == "fails: unknown reason"


def test_a_start_that_fails_by_itself_is_not_repeated(debian_12: Facts) -> None:
    failed = Result(("start",), 1, NO_NEWGIDMAP, "", 1.0)
    assert attempt.begin(guest(debian_12, failed, STARTED)).outcome == "fails: newgidmap"


@pytest.mark.parametrize(
    ("daemon", "client", "words"),
    [
        ("echo 'API listen on /elsewhere'; exec /bin/sleep 20", "exit 1", "fails: no answer"),
        ("exec /bin/sleep 20", 'test -e "$HOME/asked" || { : > "$HOME/asked"; exit 1; }', "starts"),
        ("echo 'rootlesskit needs to be installed'; exit 1", "exit 1", "fails: rootlesskit"),
    ],
)
def test_how_a_start_ends(daemon: str, client: str, words: str, tmp_path: Path) -> None:
    for name, text in (("dockerd-rootless.sh", daemon), ("docker", client), ("sleep", "true"),
                       ("setsid", 'echo $$ > "$HOME/pid"; exec "$@"')):  # fmt: skip
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", attempt._START, "sh", "log"], capture_output=True, text=True, check=False,
        env={"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text()):
        time.sleep(0.01)  # it is started in the background
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(pid.read_text()), signal.SIGTERM)
    result = Result(("sh",), done.returncode, done.stdout, done.stderr, 0.1)
    assert attempt.words_of_start(result) == words
