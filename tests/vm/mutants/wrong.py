"""Put a wrong audit in the place of the right one, in the process that this is loaded in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.rootless import looking
from harness.rootless.audit import AuditReport, Evidence, audit


def replace_audit(passes: Callable[[Evidence, AuditReport], bool]) -> None:
    """Every scenario's verdict from now on is what *passes* says of it."""

    def mutant(evidence: Evidence) -> AuditReport:
        report = audit(evidence)
        return replace(
            report, verdict="rootless" if passes(evidence, report) else "not rootless"
        )

    looking.audit = mutant  # type: ignore[attr-defined]
