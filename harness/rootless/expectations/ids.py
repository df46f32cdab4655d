"""Subordinate ids: how many, and what happens where they are too few (P6, M5, D6, D7)."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless.expectations import requirements
from harness.rootless.expectations.model import Prediction, not_applicable, rule
from harness.rootless.expectations.promise import promise
from harness.rootless.expectations.sources import MANUAL, MOBY, PHOTON
from harness.rootless.expectations.start import needs_daemon, needs_tool
from harness.rootless.traits import assume

PREREQUISITES = f"{PHOTON}, 'Prerequisites'; {MANUAL}, 'Prerequisites'"
# When the layer is loaded; of Debian's 28.5.2+dfsg4, "lchownat owned".
TOO_SMALL = r"lchown(?:at)? \S+: invalid argument"


def highest_id(facts: Facts) -> int:
    """The highest uid a container can have.  The user itself is 0, so N ids make 1 to N."""
    return min(facts.subuid_count, facts.subgid_count)


def _because(facts: Facts) -> str:
    return f"{facts.subuid_count} subordinate uids, {facts.subgid_count} gids"


def _with(facts: Facts, count: int) -> Facts:
    return assume(facts, {"subordinate-uids": str(count), "subordinate-gids": str(count)})


def load(facts: Facts, uid: int) -> Prediction:
    """What becomes of an image layer with a file of that uid and gid."""
    loads = uid <= highest_id(facts)
    return Prediction("loads" if loads else "lchown error", f"id {uid}, {_because(facts)}")


@rule("P6", source=PREREQUISITES)
@needs_daemon
def enough(facts: Facts) -> Prediction:
    """Whether a container's uid_map and gid_map both reach at least 65536."""
    return Prediction(highest_id(facts) >= 65536, _because(facts))


@rule("P6.high_id", source=PREREQUISITES)
@needs_daemon
def high_id(facts: Facts) -> Prediction:
    """The highest id that both maps of dockerd's user namespace contain: an integer."""
    return Prediction(highest_id(facts), _because(facts))


def _size_rules(count: int) -> None:
    def checked(facts: Facts) -> Prediction:
        changed = _with(facts, count)
        return Prediction(requirements.check(changed), f"{_because(changed)}, not looked at")

    def top(facts: Facts) -> Prediction:
        return load(_with(facts, count), count)

    def above(facts: Facts) -> Prediction:
        return load(_with(facts, count), count + 1)

    checked.__doc__ = f"`check` with {count} ids, in the words of requirements.py."
    top.__doc__ = (
        f"`docker load` of a layer with a file of id {count}, the user having {count} ids: "
        "``loads`` or ``lchown error``."
    )
    above.__doc__ = f"The same with a file of id {count + 1}."
    rule(f"P6.check_{count}", source=PREREQUISITES)(needs_tool(checked))
    rule(f"P6.load_{count}_of_{count}", source=PREREQUISITES)(needs_daemon(top))
    rule(f"P6.load_{count + 1}_of_{count}", source=PREREQUISITES)(needs_daemon(above))


_size_rules(65535)
_size_rules(65536)


@rule("P6.accepted_65536", source=PREREQUISITES)
@needs_tool
def accepted(facts: Facts) -> Prediction:
    """`check` with exactly the 65536 ids that the documents ask for."""
    changed = _with(facts, 65536)
    return Prediction(requirements.check(changed), _because(changed))


@rule("M5", source=f"{MOBY}, 'Requirements'")
@needs_daemon
def high_layer(facts: Facts) -> Prediction:
    """`docker load` of a layer with a file of id 65534: ``loads`` or ``lchown error``."""
    return load(facts, 65534)


@rule("M5.too_small", source=f"{MOBY}, 'Requirements'")
@needs_daemon
def too_small(facts: Facts) -> Prediction:
    """The same with 1000 ids and a restarted daemon."""
    return load(_with(facts, 1000), 65534)


@rule("D6", source=f"{MANUAL}, 'Prerequisites'")
@needs_daemon
def size(facts: Facts) -> Prediction:
    """The ids that uid_map of dockerd's user namespace maps besides 0: an integer."""
    return Prediction(facts.subuid_count, _because(facts))


@rule("D7", source=f"{MANUAL}, 'Prerequisites'")
@needs_daemon
def outside(facts: Facts) -> Prediction:
    """The first outside range of uid_map that is not the user's own id: ``100000-165535``, and who
    else the subordinate ids are, or were given to."""
    if not facts.subuid:
        return not_applicable("the user has no subordinate uids")
    first = facts.subuid[0]
    return Prediction(f"{first.start}-{first.start + first.count - 1}", f"{first}")


promise("D7.example", "231072-296607",
        "The same where the user has the manual's example of 65536 ids from 231072 on.",
        source=f"{MANUAL}, 'Prerequisites'", guard=needs_daemon)
