"""The setup tool and what it finds around itself."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless import engine, installing
from harness.rootless.bugs import acts
from harness.rootless.bugs.model import Act, Bug, Case, add
from harness.rootless.expectations.versions import tool_at_least
from harness.rootless.inducers import CannotInduce

# It puts the tool into a directory of its own, away from docker.
PACKAGE = "docker.io"
CONFLICT = "29.4"
_STATE = '"$XDG_RUNTIME_DIR/containerd-rootless"'


def _another_layout(facts: Facts) -> str:
    if not facts.setuptool:
        return "no setup tool is installed"
    if PACKAGE not in facts.packages:
        return f"the tool does not come from {PACKAGE}, and lies beside docker"
    return ""


def _own_layout(case: Case) -> str:
    directory = installing.suite_layout(case.guest)
    if case.guest.root.run("test", "-e", f"{directory}/docker", check=False).ok:
        raise CannotInduce(f"docker lies beside the tool, in {directory}")
    case.guest.probe()
    return f"the tool is in {directory} alone"


def _repair(case: Case) -> str:
    done = case.remedy("setup-tool")
    case.guest.probe()
    return done


def _install(case: Case) -> str:
    path = installing.path_with(case.guest.user, acts.parent(case.facts.setuptool))
    return engine.install(case.guest, env=path).transcript


def _no_check(facts: Facts) -> str:
    if tool_at_least(facts, CONFLICT):
        return ""
    return f"the setup tool of engine {facts.engine} does not look for it: {CONFLICT} began to"


def _no_tool(facts: Facts) -> str:
    return "" if facts.setuptool else "no setup tool is installed"


def _in_session(script: str) -> Act:
    def act(case: Case) -> str:
        return case.guest.user.sh(script).transcript

    return act


add(Bug(
    name="tool-beside-itself",
    tracker="docker docs 14725",
    url="https://github.com/docker/docs/issues/14725",
    seen_on="Debian 11",
    summary="`install` starts the daemon and then does not find docker",
    cause="the tool calls the docker of its own directory, and Debian's has none there",
    trait="the package's own layout, without this project's repair",
    induce=_own_layout,
    attempt=_install,
    symptom=r"/contrib/docker: (not found|No such file)",
    healthy=r"^\[INFO\] Installed docker\.service successfully",
    cure=_repair,
    cured_by="links to the tools in /usr/bin",
    cannot=_another_layout,
))  # fmt: skip

add(Bug(
    name="containerd-rootless",
    tracker="moby 52171",
    url="https://github.com/moby/moby/issues/52171",
    seen_on="machines with nerdctl",
    summary="rootless Docker conflicts with rootless containerd",
    cause="both share paths; since 29.4 the setup tool refuses where it finds the other's state",
    trait="a directory containerd-rootless in XDG_RUNTIME_DIR",
    induce=_in_session(f"mkdir {_STATE}"),
    attempt=acts.check,
    symptom=r"conflicts with containerd-rootless",
    healthy=acts.SATISFIED,
    cure=_in_session(f"rmdir {_STATE}"),
    cured_by="the other daemon stopped, its directory removed",
    fixed=_no_check,
    cannot=_no_tool,
))  # fmt: skip
