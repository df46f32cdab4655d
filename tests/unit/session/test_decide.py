"""What a row says of where its expectation comes from."""

from __future__ import annotations

import pytest

from harness.distros import registry
from harness.matrix import Cell
from harness.session.decide import Context, Decider

OWN = "the values that the distro is documented to have"


@pytest.mark.parametrize(
    ("twin", "because"), [(False, OWN), (True, f"{OWN}, but of its twin: engine")]
)
def test_traits_of_a_twin_are_told_from_the_distros(twin: bool, because: str) -> None:
    cell = Cell("photon", "4", "x86_64", twin=twin)
    context = Context(cell, registry.of(cell), "scenario", "prepared", (), (), "")
    decide = Decider(context)
    decide.traits_hold({"engine": "20.10.5", "cgroup": "v1"})
    assert decide.rows[0].because == because
    decide.trait_drifts("cgroup", "v1", "v2")
    assert "twin" not in decide.rows[1].because
