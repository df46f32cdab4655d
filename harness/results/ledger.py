"""The ledger: every claim with its source, and the scenarios that decide it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.paths import project
from harness.results.tables import Problems, read_toml, text

LEDGER = project() / "scenarios" / "claims.toml"
DOCUMENTS = {
    "P": "photon",
    "M": "moby",
    "D": "docker",
    "R": "rootless",
}
TITLES = {
    "photon": "Photon OS documentation",
    "moby": "moby 19.03",
    "docker": "Docker manual",
    "rootless": "rootlesscontaine.rs",
}
_REQUIRED = ("id", "document", "text", "source", "applies", "decided_by")
_OPTIONAL = ("needs",)
_ID = re.compile(r"([A-Z])([1-9][0-9]*)")


@dataclass(frozen=True)
class Claim:
    """One documented statement, in our own words."""

    id: str
    document: str  # photon, moby, docker or rootless
    text: str
    source: str  # the document and the topic in it
    applies: str  # when it applies, in prose; the rules say it exactly
    decided_by: str  # the observable
    needs: str = ""  # what its scenario needs beyond a daemon: a reboot, a rootful control …


def claim_order(claim_id: str) -> tuple[int, int, str]:
    """A sort key: documents in the ledger's order, then by number."""
    found = _ID.match(claim_id)
    if not found or found[1] not in DOCUMENTS:
        return len(DOCUMENTS), 0, claim_id
    return list(DOCUMENTS).index(found[1]), int(found[2]), claim_id


def load_ledger(path: Path) -> dict[str, Claim]:
    """The claims of a file by id, in its order.

    Everything wrong with the file is told at once: one :class:`~harness.errors.UsageError`, one
    line a problem.
    """
    problems = Problems(path)
    claims: dict[str, Claim] = {}
    for number, entry in enumerate(read_toml(path, "claim"), 1):
        complain = problems.of("claim", number, entry)
        for name in sorted(set(entry) - {*_REQUIRED, *_OPTIONAL}):
            complain(name, f"is not a field of a claim: {', '.join((*_REQUIRED, *_OPTIONAL))}")
        fields = {name: text(entry, name, complain) for name in _REQUIRED}
        fields["needs"] = text(entry, "needs", complain, required=False)
        claim = Claim(**fields)
        found = _ID.fullmatch(claim.id)
        if claim.id and not found:
            complain("id", f"{claim.id!r} is not a letter and a number such as P15")
        if found and DOCUMENTS.get(found[1]) != claim.document:
            known = ", ".join(f"{letter} is {name}" for letter, name in DOCUMENTS.items())
            complain("document", f"{claim.document!r} does not go with {claim.id} ({known})")
        if claim.id in claims:
            complain("id", f"{claim.id} is used twice")
        claims[claim.id] = claim
    problems.raise_if_any()
    if not claims:
        raise UsageError(f"{path}: holds no [[claim]]")
    return claims


def coverage(claims: Mapping[str, Claim], scenario_dir: Path) -> dict[str, list[str]]:
    """Claim id → node ids of the scenarios marked with it; an empty list where there is none.

    The files are read, not imported, so that this works without a test bed.  A mark counts on a
    function, on a class, and in ``pytestmark`` of a module or class.
    """
    if not scenario_dir.is_dir():
        raise UsageError(f"{scenario_dir}: there is no such directory of scenarios")
    found: dict[str, list[str]] = {claim: [] for claim in claims}
    problems: list[str] = []
    for path in sorted(scenario_dir.glob("test_*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        except (SyntaxError, UnicodeDecodeError) as error:
            problems.append(f"{path}: cannot be parsed: {error}")
            continue
        name = f"{scenario_dir.name}/{path.name}"
        for node, marks in _tests(tree.body, name, _pytestmarks(tree.body)):
            for claim, line in (pair for mark in marks for pair in _claims_of(mark)):
                if claim not in found:
                    problems.append(f"{path}:{line}: no claim {claim} in the ledger")
                elif node not in found[claim]:
                    found[claim].append(node)
    if problems:
        raise UsageError("\n".join(dict.fromkeys(problems)),
                         hint="name claims of scenarios/claims.toml as literal text")
    return found


Marks = tuple[ast.Call, ...]


def _tests(body: list[ast.stmt], prefix: str, above: Marks) -> Iterator[tuple[str, Marks]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test"):
                yield f"{prefix}::{node.name}", above + _marks(node.decorator_list)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            marks = above + _marks(node.decorator_list) + _pytestmarks(node.body)
            yield from _tests(node.body, f"{prefix}::{node.name}", marks)


def _pytestmarks(body: list[ast.stmt]) -> Marks:
    marks: Marks = ()
    for node in body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        if any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in targets):
            assert node.value is not None
            marks += _marks([node.value])
    return marks


def _marks(nodes: list[ast.expr]) -> Marks:
    """Every ``….mark.claims(…)`` inside, so also those of ``pytest.param(…, marks=…)``."""
    return tuple(
        call
        for node in nodes
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "claims"
        and ast.unparse(call.func.value).split(".")[-1] == "mark"
    )


def _claims_of(mark: ast.Call) -> Iterator[tuple[str, int]]:
    """Claim ids of one mark, an aspect cut off; what is not literal text comes as its source."""
    for argument in mark.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value.partition(".")[0], argument.lineno
        else:
            yield f"{ast.unparse(argument)} (not literal text)", argument.lineno
