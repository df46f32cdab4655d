"""What a container reaches through the user-mode stack, and what it must not (M29)."""

from __future__ import annotations

from harness.guest.facts import Facts, version_tuple
from harness.rootless.expectations.derive import network_driver
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.promise import promise
from harness.rootless.expectations.sources import MOBY
from harness.rootless.expectations.start import needs_containers, needs_daemon
from harness.rootless.expectations.versions import engine_at_least

STACKS = f"{MOBY}, 'Changing network stack'"
SCRIPT = "dockerd-rootless.sh"
NO_ANSWER = "no answer"
UNHEARD = "no answer on the machine either"
# Beside what has a rule of its own: --net, --mtu, --port-driver; --state-dir came with 25.
WORDS = (
    "--copy-up=/etc --copy-up=/run --disable-host-loopback --propagation=rslave "
    "--slirp4netns-sandbox=auto --slirp4netns-seccomp=auto"
)

SHUT_IN = (1, 0)  # the oldest slirp4netns that was seen to be told both

promise("M29.traffic", "answers",
        "A container asks for a word on TCP at an address of the machine: ``answers`` or "
        "``no answer``.", source=STACKS)
promise("M29.name", "answers",
        "A container looks a name up, which the machine's name server knows: ``answers``, "
        "``no answer``, or UNHEARD.", source=STACKS)


@rule("M29.host_loopback", source=SCRIPT)
@needs_containers
def host_loopback(facts: Facts) -> Prediction:
    """A container asks at slirp4netns's address for the machine, 10.0.2.2, for what listens on the
    machine's 127.0.0.1: ``answers`` or ``no answer``."""
    driver = network_driver(facts)
    if driver != "slirp4netns":
        return not_applicable(f"{driver} has no 10.0.2.2 that is known to be the machine")
    return Prediction(NO_ANSWER, f"the script of engine {facts.engine}: --disable-host-loopback")


@rule("M29.sandbox", source=SCRIPT)
@needs_daemon
def sandbox(facts: Facts) -> Prediction:
    """What the running slirp4netns is told to shut itself into, in the alphabet's order."""
    driver = network_driver(facts)
    if driver != "slirp4netns":
        return not_applicable(f"{driver} is another stack")
    if not version_tuple(facts.slirp4netns) >= SHUT_IN:
        return not_applicable(f"not known of slirp4netns {facts.slirp4netns or 'without version'}")
    return Prediction("--enable-sandbox --enable-seccomp", f"slirp4netns {facts.slirp4netns}: both")


@rule("M29.words", source=SCRIPT)
@needs_daemon
def words(facts: Facts) -> Prediction:
    """RootlessKit's options, in the alphabet's order, but for those of other rules (WORDS)."""
    if not engine_at_least(facts, "20.10") or engine_at_least(facts, "29"):
        return not_applicable(f"not known of the script of engine {facts.engine}")
    return Prediction(WORDS, f"the script of engine {facts.engine}")
