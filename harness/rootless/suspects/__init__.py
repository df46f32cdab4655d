"""What may be at fault on a guest that showed a finding."""

from harness.rootless.suspects.compare import suspects
from harness.rootless.suspects.find import find

__all__ = ["find", "suspects"]
