"""Is a guest what its distro is documented to be?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.matrix import Cell
from harness.packages import manager
from harness.rootless import traits
from harness.rootless.expectations import derive
from harness.session.decide import Decider

pytestmark = [pytest.mark.traits]


@pytest.mark.state("prepared")
def test_prepared(guest: Guest, distro: Distro, cell: Cell, decide: Decider) -> None:
    """Every trait that the distro declares has that value once the guest is prepared, and its
    packages bring what they are declared to bring."""
    _compare(guest, distro, cell, decide)
    if cell.engine or not distro.needs:
        return  # an engine of another version may need something else
    packages = manager(distro.package_manager, guest.root)
    found = {package: tuple(packages.depends(package).intersection(needed))
             for package, needed in distro.needs.items()}  # fmt: skip
    documented, brought = _words(distro.needs), _words(found)
    if brought != documented:
        decide.trait_drifts("package-needs", documented, brought)


@pytest.mark.state("daemon")
def test_with_daemon(guest: Guest, distro: Distro, cell: Cell, decide: Decider) -> None:
    """Setting up the daemon and pulling an image in changes none of the declared traits."""
    _compare(guest, distro, cell, decide)


def _words(needs: Mapping[str, Sequence[str]]) -> str:
    each = (f"{package} brings {' '.join(sorted(names))}" for package, names in needs.items())
    return "; ".join(each)


def _compare(guest: Guest, distro: Distro, cell: Cell, decide: Decider) -> None:
    facts = guest.probe()
    declared = derive.declared(facts, distro.traits_of(cell))
    drifted = traits.drifted(facts, declared)
    for drift in drifted:
        decide.trait_drifts(drift.name, drift.documented, drift.probed)
    if not drifted:
        decide.traits_hold({name: traits.trait(name).probe(facts) for name in declared})
