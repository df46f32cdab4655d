"""A wrong audit, as a plugin of pytest: a container that is not root is rootless."""

from __future__ import annotations

from tests.vm.mutants import wrong

wrong.replace_audit(lambda evidence, report: 0 not in evidence.init.uids)
