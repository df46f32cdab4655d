"""A wrong audit, as a plugin of pytest: whatever does not map the host's root is rootless."""

from __future__ import annotations

from tests.vm.mutants import wrong

wrong.replace_audit(lambda evidence, report: bool(report.test(4).passed))
