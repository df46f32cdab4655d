"""RootlessKit as it runs: its command line, and the options in it."""

from __future__ import annotations

from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.rootless import processes
from harness.rootless.renamed import original

SCRIPT = "dockerd-rootless.sh"


def arguments(guest: Guest) -> Result:
    """The command line of the user's RootlessKit, a word a line."""
    return guest.root.sh(
        "tr '\\0' '\\n' < /proc/\"$1\"/cmdline", processes.pid(guest, "rootlesskit"), check=False
    )


def state_directory(guest: Guest) -> str:
    """Where the user's RootlessKit has its API's socket: older scripts leave that to chance."""
    return guest.root.sh(
        "tr '\\0' '\\n' < /proc/\"$1\"/environ | sed -n 's/^ROOTLESSKIT_STATE_DIR=//p'",
        processes.pid(guest, "dockerd"),
    ).stdout.strip()


def option(words: Result, name: str) -> str:
    """``--net=slirp4netns`` → ``slirp4netns``; the last one counts, as for RootlessKit."""
    values = [
        word.partition("=")[2]
        for word in words.stdout.splitlines()
        if word.startswith(f"--{name}=")
    ]
    return values[-1] if values else ""


def options(words: Result, *but: str) -> str:
    """The options in front of the program that RootlessKit runs, in the alphabet's order, without
    those named *but*."""
    said = words.stdout.splitlines()[1:]
    names = [word.rpartition("/")[2] for word in said]
    end = next((n for n, name in enumerate(names) if original(name, (SCRIPT,))), None)
    return " ".join(
        word for word in sorted(said[:end]) if word.partition("=")[0].removeprefix("--") not in but
    )
