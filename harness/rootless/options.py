"""How a run uses the lab."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.hypervisor.connection import EMBED
from harness.paths import Cache


@dataclass(frozen=True)
class Options:
    """``hooks`` maps a state to scripts run as root when it is made, ``induced`` to traits and the
    values they are then given; ``withheld`` are names of hints that guests are prepared without;
    ``memory`` in MiB."""

    cache: Cache
    run_id: str
    run_dir: Path
    uri: str = EMBED
    accel: str = "auto"
    hooks: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    induced: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    kernel_arguments: str = ""
    image_source: str = "auto"  # of harness.image.choose
    memory: int = 2048
    vcpus: int = 2
    progress: Callable[[str], None] = print

    @property
    def altered(self) -> bool:
        """Whether guests are made other than their distro has them."""
        return bool(self.hooks or self.induced or self.kernel_arguments)
