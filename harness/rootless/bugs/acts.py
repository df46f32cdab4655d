"""What several bugs induce, try and cure with."""

from __future__ import annotations

from pathlib import PurePosixPath

from harness.guest.session import Result
from harness.rootless import attempt, engine, inducing, relogin, setuptool
from harness.rootless.bugs.model import Act, Case
from harness.rootless.inducers import CannotInduce
from harness.rootless.renamed import pattern

SBIN = "PATH=$PATH:/usr/sbin:/sbin; "
STARTED = "^the daemon answers$"
SATISFIED = r"^\[INFO\] Requirements are satisfied$"
RAN = "^the container runs$"
_END = """
while pkill -x -u "$1" "$2"; do
    timeout 60 sh -c 'while pgrep -x -u "$1" "$2" > /dev/null; do sleep 0.2; done' sh "$1" "$2"
done
"""


def start(*flags: str) -> Act:
    """Start the daemon by hand with *flags*, and follow its log to the end or to an answer.

    One that was started so before is ended first.
    """

    def act(case: Case) -> str:
        case.guest.root.sh(_END, case.guest.access.user, pattern("rootlesskit"), check=False)
        return attempt.begin(case.guest, *flags).evidence

    return act


def check(case: Case) -> str:
    """The setup tool's `check`, as the user."""
    return setuptool.run(case.guest.user, "check").transcript


def run_container(*options: str) -> Act:
    """``docker run`` of a container that says a word."""

    def act(case: Case) -> str:
        docker = engine.rootless(case.guest)
        word = RAN.strip("^$")
        return docker.run(*options, engine.IMAGE, "echo", word, check=False).transcript

    return act


def as_root(script: str, *arguments: str) -> Act:
    """A constant shell *script* as root; one that fails is the guest's refusal."""

    def act(case: Case) -> str:
        return root(case, script, *arguments).transcript

    return act


def induce(name: str, value: str) -> Act:
    """Give the guest *value* for a trait, and probe it anew."""

    def act(case: Case) -> str:
        if value == "blocked":  # what uses the module goes first
            unload(case, name.removesuffix("-module"))
        induced = inducing.induce(case.guest, name, value)
        return f"{induced}\n{induced.done}".strip()

    return act


def root(case: Case, script: str, *arguments: str, check: bool = True) -> Result:
    return case.guest.root.sh(SBIN + script, *arguments, check=check)


def log_in_again(case: Case) -> None:
    """The next login begins the user's sessions and manager anew."""
    relogin.log_in_again(case.guest)
    case.guest.user.run("true")


def log_in_to_daemon(case: Case) -> None:
    """:func:`log_in_again`, and wait for the daemon that the user's manager starts."""
    log_in_again(case)
    engine.wait_for_daemon(case.guest)


def path_of(case: Case, name: str) -> str:
    binary = case.facts.binary(name)
    if binary is None:
        raise CannotInduce(f"{name} is not installed")
    return binary.path


# The fourth field of /proc/modules names who uses a module.
_UNLOAD = """
for module; do
    users=$(awk -v name="$module" '$1 == name && $4 != "-" {print $4}' /proc/modules | tr , ' ')
    for user in $users $module; do
        ! grep -q "^$user " /proc/modules || modprobe -r "$user"
    done
done
for module; do [ ! -e "/sys/module/$module" ] || echo "$module"; done
"""


def unload(case: Case, *modules: str) -> None:
    """Take modules out of the kernel, with those that use them; :class:`CannotInduce` where one is
    built in or busy."""
    left = root(case, _UNLOAD, *modules, check=False).stdout.split()
    if left:
        raise CannotInduce(f"{', '.join(left)}: built into the kernel, or in use")


def parent(path: str) -> str:
    return str(PurePosixPath(path).parent)
