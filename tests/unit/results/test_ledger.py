from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.results.ledger import DOCUMENTS, Claim, claim_order, coverage, load_ledger

LEDGER = Path(__file__).parents[3] / "scenarios" / "claims.toml"
CLAIM = """[[claim]]
id = "P1"
document = "photon"
text = "t"
source = "s"
applies = "a"
decided_by = "d"
"""


def claims(*ids: str) -> dict[str, Claim]:
    return {i: Claim(i, DOCUMENTS[i[0]], "t", "s", "a", "d") for i in ids}


def test_every_claim_of_the_documents_is_there() -> None:
    ledger = load_ledger(LEDGER)
    last = {"P": 18, "M": 31, "D": 19, "R": 20}
    assert list(ledger) == [f"{a}{n}" for a, most in last.items() for n in range(1, most + 1)]


def test_claims_are_whole_and_fit_the_report() -> None:
    for claim in load_ledger(LEDGER).values():
        assert claim.source.strip()
        assert claim.decided_by.strip()
        assert claim.applies.strip()
        assert 10 < len(claim.text) <= 100
        assert claim.text.endswith(".")


def test_order() -> None:
    assert sorted(["R1", "P10", "P9", "Z1", "M2", ""], key=claim_order) == [
        "P9", "P10", "M2", "R1", "", "Z1",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('source = "s"\n', "", "claim 1 (P1): source: is missing"),
        ('text = "t"', "text = 3", "claim 1 (P1): text: must be text"),
        ('"photon"', '"moby"', "claim 1 (P1): document: 'moby' does not go with P1"),
        ('"P1"', '"p1"', "claim 1 (p1): id: 'p1' is not"),
        ('"P1"', '"X1"', "claim 1 (X1): document:"),
        ("decided_by", "decidedby", "claim 1 (P1): decidedby: is not a field"),
        ("[[claim]]", "[[claim]", "not valid TOML"),
        (CLAIM, "", "holds no [[claim]]"),
        (CLAIM, CLAIM + CLAIM, "claim 2 (P1): id: P1 is used twice"),
    ],
)
def test_malformed(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "claims.toml"
    file.write_text(CLAIM.replace(old, new))
    with pytest.raises(UsageError) as caught:
        load_ledger(file)
    assert str(file) in caught.value.what
    assert said in caught.value.what


def test_coverage_reads_every_kind_of_mark(tmp_path: Path) -> None:
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    (scenarios / "test_a.py").write_text('''
import pytest
from pytest import mark
import does_not_exist

pytestmark = [pytest.mark.ports, pytest.mark.claims("P1")]

@pytest.mark.claims("P15.boundary", "M17")
def test_f(): ...

@mark.claims("P2")
class TestC:
    pytestmark = pytest.mark.claims("P3")
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.claims("P4"))])
    def test_m(self, x): ...
    def helper(self): ...

async def test_g(): ...

@pytest.mark.claims("M17")
def helper(): ...
''')
    (scenarios / "helper.py").write_text("this is not python")
    f, m, g = (f"scenarios/test_a.py::{n}" for n in ("test_f", "TestC::test_m", "test_g"))
    assert coverage(claims("P1", "P2", "P3", "P4", "P15", "M17", "R1"), scenarios) == {
        "P1": [f, m, g], "P2": [m], "P3": [m], "P4": [m], "P15": [f], "M17": [f], "R1": [],
    }


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('@pytest.mark.claims("P99")', "no claim P99"),
        ("@pytest.mark.claims(*IDS)", "not literal text"),
        ("@pytest.mark.claims(", "cannot be parsed"),
    ],
)
def test_bad_marks(tmp_path: Path, mark: str, said: str) -> None:
    (tmp_path / "test_a.py").write_text(f"{mark}\ndef test_f(): ...\n")
    with pytest.raises(UsageError, match=r"test_a\.py") as caught:
        coverage(claims("P1"), tmp_path)
    assert said in caught.value.what


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        coverage(claims("P1"), tmp_path / "absent")


def test_the_scenarios_of_this_project_can_be_read() -> None:
    coverage(load_ledger(LEDGER), LEDGER.parent)
