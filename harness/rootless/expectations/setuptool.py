"""What the setup tool says: errors, ``check``, and its nsenter (P8–P10, P12, D8)."""

from __future__ import annotations

from pathlib import PurePosixPath

from harness.guest.facts import Facts
from harness.results.model import Value
from harness.rootless.expectations import requirements
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.packaging import packaged_tool
from harness.rootless.expectations.promise import anywhere, promise
from harness.rootless.expectations.sources import DEBIAN, MANUAL, PHOTON
from harness.rootless.expectations.start import needs_tool
from harness.rootless.expectations.versions import tool_at_least, tool_between
from harness.rootless.traits import assume, trait

TOOL = f"{PHOTON}, 'Usage'"
INSTALL = f"{MANUAL}, 'Install'"

SU = {"user-session": "no", "runtime-directory": "unset"}  # who came by `su` has neither

promise("P9", "lists missing requirements",
        "The tool without an argument: this, or the error it prints instead.",
        source=TOOL, guard=needs_tool)
for _key, _path in (("P10", "/etc/subuid"), ("P10.subgid", "/etc/subgid")):
    promise(_key, "appended",
            f"`echo … >> {_path}` as the user: ``appended``, or ``permission denied``.",
            source=f"{PHOTON}, 'Prerequisites'", guard=anywhere)
promise("P12.suite-layout-check", "missing requirement reported",
        "`check` in the suite's own layout without rootlesskit: this, or ``satisfied``.",
        source=f"{MANUAL}, 'Install'; {DEBIAN}", guard=packaged_tool)
promise("D8.no_command", 1, "The exit status without an argument.", source=INSTALL,
        guard=needs_tool)
promise("D8.unknown_command", 1, "The exit status with an unknown command.", source=INSTALL,
        guard=needs_tool)
promise("D8.unknown_command_said", "Unknown command: checks. Run with --help to see the usage.",
        "The error of the command `checks`, without its tag.", source=INSTALL, guard=needs_tool)
promise("D8.as_root", "Refusing to install rootless Docker as the root user, exit 1",
        "The error of `check` as root, without its tag, and the exit status.", source=INSTALL,
        guard=needs_tool)
promise("D8.install_as_root",
        "Refusing to install rootless Docker as the root user, exit 1, no unit",
        "The same of `install`, and whether there is a unit in root's home afterwards.",
        source=INSTALL, guard=needs_tool)
promise("D8.not_on_path", "dockerd-rootless.sh needs to be present under $PATH, exit 1",
        "The error of `check`, called by its path, with a PATH that has everything "
        "(getopt, say) but dockerd-rootless.sh, and the exit status.",
        source=INSTALL, guard=needs_tool)


@rule("D8.no_command_said", source=INSTALL)
@needs_tool
def no_command_said(facts: Facts) -> Prediction:
    """The error of the tool without an argument, without its tag."""
    value = (
        "No command was specified. Run with --help to see the usage. "
        f"Maybe you want to run `{facts.setuptool} install`?"
    )
    return Prediction(value, f"called as {facts.setuptool}")


@rule("P8.nsenter_works", source=TOOL)
@needs_tool
def nsenter(facts: Facts) -> Prediction:
    """Whether the tool's command `nsenter -- true` exits 0 while the daemon runs."""
    if not tool_at_least(facts, "25"):
        return not_applicable(f"the setup tool of engine {facts.engine} has no nsenter")
    return Prediction(not tool_between(facts, "25.0.0", "29.1.1"), f"engine {facts.engine}")


def _check(facts: Facts, because: str = "") -> Prediction:
    missing = requirements.missing_requirements(facts)
    text = because or f"missing: {', '.join(missing) or 'nothing'}"
    return Prediction(requirements.check(facts), f"{text} (setup tool of engine {facts.engine})")


@rule("P12", source=TOOL)
@needs_tool
def check(facts: Facts) -> Prediction:
    """`check`, in the words of requirements.py: ``satisfied`` when the last line of stdout is
    `[INFO] Requirements are satisfied` and it exits 0."""
    return _check(facts)


@rule("P12.exit", source=TOOL)
@needs_tool
def check_exit(facts: Facts) -> Prediction:
    """The exit status of `check`; where the tool trips over its own message it is the shell's: 1
    of bash, 2 of dash."""
    found = _check(facts)
    tripped = 1 if facts.sh == "bash" else 2
    statuses: dict[Value, int] = {"satisfied": 0, "refused: XDG_RUNTIME_DIR": tripped}
    shell = f", /bin/sh is {facts.sh or 'unknown'}"
    return Prediction(statuses.get(found.value, 1), found.because + shell)


@rule("P12.leaves", source=TOOL)
@needs_tool
def check_leaves(facts: Facts) -> Prediction:
    """What is there after `check` and was not before it: files in the home directory as `ls -l`
    lists them, or processes of a daemon."""
    if not facts.xdg_runtime_dir:
        return not_applicable("XDG_RUNTIME_DIR is unset: the tool makes a directory of its own")
    return Prediction("nothing", f"setup tool of engine {facts.engine}")


@rule("P12.missing_rootlesskit", source=TOOL)
@needs_tool
def without_rootlesskit(facts: Facts) -> Prediction:
    """`check` with rootlesskit out of PATH: what the tool does, not what one would wish."""
    return _check(assume(facts, {"rootlesskit": "missing"}), "rootlesskit missing")


def _induced(aspect: str, observe: str, changes: dict[str, str], knob: str = "") -> None:
    """A rule about `install` after one change, which it assumes itself."""

    def predict(facts: Facts) -> Prediction:
        if knob and trait(knob).probe(facts) == "absent":
            return not_applicable(f"{knob} is absent: the kernel has no such switch")
        value = requirements.install(assume(facts, changes))
        because = ", ".join(f"{name} {text}" for name, text in changes.items())
        return Prediction(value, f"{because} (setup tool of engine {facts.engine})")

    predict.__doc__ = (
        f"`install` {observe}, in the words of requirements.py; of one that stops before it makes "
        "a unit, that there is one."
    )
    rule(f"D8.{aspect}", source=INSTALL)(needs_tool(predict))


def _command(name: str) -> None:
    """A rule about the line that is to install a program, after `install` without it."""

    def predict(facts: Facts) -> Prediction:
        changed = assume(facts, {name: "none" if name == "iptables" else "missing"})
        said = requirements.check(changed)
        if not said.startswith("missing: ") or name not in said:
            return not_applicable(f"check says: {said}")
        if not any(one in facts.binaries for one in requirements.INSTALLERS):
            return not_applicable("it is not known which package manager is there")
        value = requirements.install_command(facts, name)
        binary = facts.binary(name)
        owner = (binary.package if binary else "") or "no known package"
        return Prediction(value, f"{name} belongs to {owner}")

    predict.__doc__ = (
        f"The command after the heading for {name} in the block that `install` prints without it, "
        "or ``no command`` (requirements.install_command)."
    )
    rule(f"D8.{name}_command", source=INSTALL)(needs_tool(predict))


_command("newuidmap")
_command("iptables")
_induced("newuidmap", "without newuidmap", {"newuidmap": "missing"})
_induced("newgidmap", "without newgidmap, which is not a requirement it checks",
         {"newgidmap": "missing"})
_induced("iptables", "without iptables", {"iptables": "none"})
_induced("userns_clone", "with kernel.unprivileged_userns_clone=0", {"userns-clone": "0"},
         "userns-clone")
_induced("max_user_namespaces", "with user.max_user_namespaces=0", {"max-user-namespaces": "0"},
         "max-user-namespaces")
_induced("subuid", "without a line in /etc/subuid", {"subordinate-uids": "none"})
_induced("subgid", "without a line in /etc/subgid", {"subordinate-gids": "none"})
_induced("range_size", "with 1000 ids, which is too few",
         {"subordinate-uids": "1000", "subordinate-gids": "1000"})
_induced("no_session", "without a systemd user session (through `su`)",
         SU)
@rule("D8.no_session_check", source=INSTALL)
@needs_tool
def check_without_session(facts: Facts) -> Prediction:
    """`check` without a systemd user session (through `su`), in the words of requirements.py."""
    return _check(assume(facts, SU))


@rule("D8.start_command", source=INSTALL)
@needs_tool
def start_command(facts: Facts) -> Prediction:
    """The line that `install` then prints, which is to start the daemon by hand."""
    said, script = requirements.install(assume(facts, SU)), facts.binary("dockerd-rootless.sh")
    if said != "systemd not detected" or script is None:
        return not_applicable(f"install says: {said}")
    directory = PurePosixPath(script.path).parent
    return Prediction(f"PATH={directory}:/sbin:/usr/sbin:$PATH dockerd-rootless.sh",
                      f"the script is {script.path} (setup tool of engine {facts.engine})")


_induced("no_runtime_directory", "in a session whose XDG_RUNTIME_DIR is unset",
         {"user-session": "yes", "runtime-directory": "unset"})


@rule("D8.module", source=INSTALL)
@needs_tool
def module(facts: Facts) -> Prediction:
    """`check` with the module unloaded that the tool asks for (requirements.required_module)."""
    name = requirements.required_module(facts)
    return _check(assume(facts, {f"{name}-module": "available"}), f"{name} not loaded")


@rule("D8.uninstall_blocked", source=f"{MANUAL}, 'Uninstall'")
@needs_tool
def uninstall_blocked(facts: Facts) -> Prediction:
    """`uninstall` without newuidmap: it checks the requirements first, and says as `check`."""
    return _check(assume(facts, {"newuidmap": "missing"}), "newuidmap missing")
