"""Installing, and what it leaves (P2, P13, P14, D9–D14, D16–D18)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations import requirements
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.packaging import own_packages, packaged_tool
from harness.rootless.expectations.promise import anywhere, promise
from harness.rootless.expectations.sources import DEBIAN, MANUAL, PHOTON
from harness.rootless.expectations.start import Rule, needs_containers, needs_engine, needs_tool
from harness.rootless.expectations.versions import tool_at_least
from harness.rootless.traits import assume, trait

INSTALL = f"{MANUAL}, 'Install'"
DONE = ("installed", "systemd not detected")  # the outcomes with exit status 0


def _because(facts: Facts) -> str:
    beside = "" if facts.client_beside_script else "not "
    missing = ", ".join(requirements.missing_requirements(facts)) or "nothing"
    return (
        f"missing {missing}, user session {'yes' if facts.user_session else 'no'}, docker "
        f"{beside}beside the setup tool, /var/run/docker.sock "
        f"{trait('rootful-socket').probe(facts)}"
    )


def needs_install(function: Rule, *, force: bool = False) -> Rule:
    def guarded(facts: Facts) -> Prediction:
        outcome = requirements.install(facts, force=force)
        if outcome not in DONE:
            return not_applicable(f"install does not succeed here: {outcome}")
        return function(facts)

    guarded.__doc__ = function.__doc__
    return needs_tool(guarded)


def _needs_forced_install(function: Rule) -> Rule:
    return needs_install(function, force=True)


def needs_unit(function: Rule) -> Rule:
    def guarded(facts: Facts) -> Prediction:
        if not facts.user_session:
            return not_applicable("no systemd user session: no unit is made")
        return function(facts)

    guarded.__doc__ = function.__doc__
    return needs_install(guarded)

# What `install` tells who has a unit now: how to control it, and to have it at boot.
ADVICE = {
    "control": "run: `systemctl --user (start|stop|restart) docker.service`",
    "at-boot": "run: `sudo loginctl enable-linger {user}`",
}


@rule("P2", source=f"{PHOTON}, 'Introduction'")
@needs_install
def unprivileged(facts: Facts) -> Prediction:
    """Installing and running as a user without sudo: ``no privilege used`` if it succeeds and
    the audit saw only the id-map helpers gain privilege."""
    return Prediction("no privilege used", _because(facts))


@rule("P13", source=f"{PHOTON}, 'Usage'")
@needs_tool
def outcome(facts: Facts) -> Prediction:
    """`install`, in the words of requirements.py."""
    return Prediction(requirements.install(facts), _because(facts))


@rule("P13.exit", source=f"{PHOTON}, 'Usage'")
@needs_tool
def exit_status(facts: Facts) -> Prediction:
    """Whether `install` exits 0."""
    return Prediction(requirements.install(facts) in DONE, _because(facts))


@rule("P13.unit", source=f"{PHOTON}, 'Usage'")
@needs_unit
def unit_state(facts: Facts) -> Prediction:
    """`ActiveState` of the unit after `install`; where that failed and systemd has started the unit
    again since, it says so."""
    return Prediction("active", _because(facts))


@rule("D13", source=INSTALL)
@needs_tool
def manual_outcome(facts: Facts) -> Prediction:
    """`install`, in the words of requirements.py."""
    return Prediction(requirements.install(facts), _because(facts))


@rule("D13.context", source=INSTALL)
@needs_install
def context(facts: Facts) -> Prediction:
    """What `install` does with the CLI context ``rootless``: ``created and used``, ``created``
    or ``none``."""
    if tool_at_least(facts, "20.10.19"):
        value = "created and used"
    else:
        value = "created" if tool_at_least(facts, "20.10.6") else "none"
    return Prediction(value, f"setup tool of engine {facts.engine}")


@rule("D13.enabled", source=INSTALL)
@needs_unit
def enabled(facts: Facts) -> Prediction:
    """`systemctl --user is-enabled docker` after `install`."""
    return Prediction("enabled", _because(facts))


@rule("D13.docker_host", source=INSTALL)
@needs_install
def docker_host(facts: Facts) -> Prediction:
    """The value of the line `export DOCKER_HOST=` that `install` prints."""
    if not facts.xdg_runtime_dir:
        return not_applicable("XDG_RUNTIME_DIR is unset: the tool makes a directory of its own")
    return Prediction(f"unix://{facts.xdg_runtime_dir}/docker.sock", f"uid {facts.uid}")


@rule("D13.path", source=INSTALL)
@needs_install
def path(facts: Facts) -> Prediction:
    """The value of the line `export PATH=` that `install` prints: the tool's directory first."""
    if tool_at_least(facts, "29"):
        return not_applicable(f"not known of the setup tool of engine {facts.engine}")
    directory = requirements.tool_directory(facts)
    return Prediction(f"{directory}:$PATH", f"dockerd-rootless.sh is in {directory}")


@rule("D13.advice", source=INSTALL)
@needs_unit
def advice(facts: Facts) -> Prediction:
    """Which of ADVICE `install` gives, by name."""
    return Prediction(" ".join(ADVICE), "a unit is installed")


@rule("D13.unit_type", source=INSTALL)
@needs_unit
def unit_type(facts: Facts) -> Prediction:
    """`Type=` of the unit."""
    notify = tool_at_least(facts, "23")
    return Prediction("notify" if notify else "simple", f"setup tool of engine {facts.engine}")


@rule("D13.unit_requires", source=INSTALL)
@needs_unit
def unit_requires(facts: Facts) -> Prediction:
    """Whether `Requires=` of the unit names the user's bus, ``dbus.socket``."""
    named = tool_at_least(facts, "27.1.0")
    return Prediction(named, f"setup tool of engine {facts.engine}")


@rule("D14", source=INSTALL)
@needs_unit
def unit_path(facts: Facts) -> Prediction:
    """The unit that `install` creates, relative to the home directory, and whether it, its
    directory, or daemon.json, config.json or the directory of either, is another's or may be
    written by others."""
    return Prediction(".config/systemd/user/docker.service", _because(facts))


promise("D13.suite-layout-install", "installed",
        "`install` in the suite's own layout, its directory in PATH: in the words of "
        "requirements.py.", source=f"{INSTALL}; {DEBIAN}", guard=packaged_tool)
promise("D12", "/usr/bin", "The directory into which the engine's package puts the setup tool.",
        source=INSTALL, guard=packaged_tool)
promise("D17", "installs into ~/bin",
        "The published script for machines without packages: this, or what it said.",
        source=f"{MANUAL}, 'Install without packages'", guard=anywhere)
promise("D17.existing", "exits 0 with a message",
        "The published script where ~/bin/dockerd exists: its exit status, ``with a message`` or "
        "``without its message``.", source=f"{MANUAL}, 'Install without packages'", guard=anywhere)


@rule("P14", source=f"{PHOTON}, 'Usage'")
@needs_containers
def runs(facts: Facts) -> Prediction:
    """The exit status of `docker run` with PATH and DOCKER_HOST exported."""
    return Prediction(0, "the daemon starts and has a user session")


@rule("P14.no_session", source=f"{PHOTON}, 'Usage'")
@needs_engine
def runs_without_session(facts: Facts) -> Prediction:
    """`docker run` against a daemon started without a user session: ``runs``, or ``fails`` as
    nobody gives the container a cgroup (cgroup.NO_SCOPE)."""
    driven = facts.cgroup == "v2" and facts.systemd > 0 and facts.engine_version >= (20, 10)
    return Prediction("fails" if driven else "runs",
                      f"cgroup {facts.cgroup}, systemd {facts.systemd}, no user session")


@rule("D9", source=f"{MANUAL}, 'Prerequisites'")
@needs_tool
def rootful_disabled(facts: Facts) -> Prediction:
    """`check` of a user of the group docker after `systemctl disable --now docker.service
    docker.socket` and the removal of /var/run/docker.sock."""
    changed = assume(facts, {"rootful-socket": "not writable"})
    return Prediction(requirements.check(changed), "/var/run/docker.sock not writable")


@rule("D9.socket_left", source=f"{MANUAL}, 'Prerequisites'")
@needs_tool
def rootful_stopped(facts: Facts) -> Prediction:
    """The same with the daemon switched off only: systemd leaves the socket where it was, and
    the tool looks at nothing but whether it is writable (measured with 20.10.24)."""
    changed = assume(facts, {"rootful-socket": "writable"})
    return Prediction(requirements.check(changed), "/var/run/docker.sock left behind, writable")


@rule("D10", source=INSTALL)
@needs_tool
def rootful_writable(facts: Facts) -> Prediction:
    """`install` without --force while the user can write /var/run/docker.sock."""
    changed = assume(facts, {"rootful-socket": "writable"})
    return Prediction(requirements.install(changed), "/var/run/docker.sock writable")


@rule("D10.not_writable", source=INSTALL)
@needs_tool
def rootful_not_writable(facts: Facts) -> Prediction:
    """`install` without --force beside a rootful daemon whose socket the user cannot write."""
    changed = assume(facts, {"rootful-socket": "not writable"})
    return Prediction(requirements.install(changed), "/var/run/docker.sock not writable")


@rule("D10.force", source=INSTALL)
@needs_tool
def forced(facts: Facts) -> Prediction:
    """`install --force` while the user can write /var/run/docker.sock."""
    changed = assume(facts, {"rootful-socket": "writable"})
    value = requirements.install(changed, force=True)
    return Prediction(value, "--force, /var/run/docker.sock writable")


@rule("D10.short_option", source=INSTALL)
@needs_tool
def forced_shortly(facts: Facts) -> Prediction:
    """`-f check` while the user can write /var/run/docker.sock, in the words of requirements.py:
    as --force."""
    changed = assume(facts, {"rootful-socket": "writable"})
    return Prediction(requirements.check(changed, force=True), "-f, /var/run/docker.sock writable")


@rule("D11", source=INSTALL)
@_needs_forced_install
def rootful_stays(facts: Facts) -> Prediction:
    """`docker -c default info` as root after `install --force`: ``rootful`` if it answers and
    SecurityOptions lack ``rootless``."""
    return Prediction("rootful", _because(facts))


@rule("D16", source=f"{MANUAL}, 'Install'")
@own_packages
@needs_engine
def extras(facts: Facts) -> Prediction:
    """The package that owns the setup tool."""
    if "docker-ce" not in facts.packages:
        return not_applicable("the engine is not docker-ce")
    return Prediction("docker-ce-rootless-extras", f"docker-ce {facts.packages['docker-ce']}")


@rule("D18", source=f"{MANUAL}, 'Install without packages'")
def s390x(facts: Facts) -> Prediction:
    """Whether static packages are published for the architecture."""
    if facts.arch != "s390x":
        return not_applicable(f"the architecture is {facts.arch}, not s390x")
    return Prediction("unsupported", "architecture s390x")
