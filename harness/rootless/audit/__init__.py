"""Is it rootless at all?  See ``docs/audit.md``."""

from harness.rootless.audit.judge import audit
from harness.rootless.audit.model import AuditReport, AuditTest, Evidence
from harness.rootless.audit.run import Watch, watch

__all__ = [
    "AuditReport",
    "AuditTest",
    "Evidence",
    "Watch",
    "audit",
    "watch",
]
