"""Two plausible audits that are wrong: on real containers the ledger turns, and where."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.vm.conftest import Outcome

pytestmark = [pytest.mark.nightly]

# Those that show what is not rootless, and take the least to install.
SCENARIOS = ("scenarios/test_controls.py", "scenarios/test_family.py::test_lxd")
FOOLED = {
    "uid_map_only": {"R14", "R18"},
    "container_uid_only": {"R3", "R5", "R13", "R14", "R18", "R19.stand_in"},
}


@pytest.mark.parametrize("mutant", FOOLED)
def test_a_wrong_audit_is_caught(mutant: str, run_scenarios: Callable[..., Outcome]) -> None:
    outcome = run_scenarios("-p", f"tests.vm.mutants.{mutant}", *SCENARIOS)
    violated = {key for key in outcome.rows if "violated" in outcome.verdicts(key)}
    assert violated == FOOLED[mutant], outcome.screen[-6000:]
    assert outcome.status == 1, outcome.screen[-6000:]
