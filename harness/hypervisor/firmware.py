"""Which firmware this machine has for guests: read from the descriptions that its packages install.

The directories and the format are QEMU's (docs/interop/firmware.json): one JSON file a firmware,
named so that the better ones sort first; a file of an administrator hides the package's one.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import TestbedError

DIRECT, BIOS, UEFI = "", "bios", "uefi"
PACKAGES = {"x86_64": "ovmf", "aarch64": "qemu-efi-aarch64"}  # of Debian, with UEFI
DESCRIPTIONS = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))
# Secure Boot refuses unsigned loaders; SMM needs a machine that ours is not.
_UNWANTED = frozenset({"enrolled-keys", "requires-smm", "secure-boot"})
_MACHINES = {"x86_64": "pc-i440fx-", "aarch64": "virt-"}


@dataclass(frozen=True)
class Uefi:
    """``code`` is shared; ``variables`` is what each guest gets a copy of."""

    code: Path
    variables: Path


def uefi(arch: str) -> Uefi | None:
    """UEFI without Secure Boot for *arch*, or None where none is installed."""
    found: dict[str, Path] = {}
    for folder in reversed(DESCRIPTIONS):
        found |= {path.name: path for path in folder.glob("*.json")}
    for _, path in sorted(found.items()):
        try:
            described = json.loads(path.read_text("utf-8"))
            chosen = _suitable(described, arch)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue  # an empty file is how an administrator takes a firmware away
        if chosen and chosen.code.exists() and chosen.variables.exists():
            return chosen
    return None


def _suitable(described: dict[str, Any], arch: str) -> Uefi | None:
    mapping = described["mapping"]
    if (
        "uefi" not in described["interface-types"]
        or mapping["device"] != "flash"
        or _UNWANTED.intersection(described["features"])
        or mapping["executable"].get("format") != "raw"
        or mapping["nvram-template"].get("format") != "raw"
    ):
        return None
    for target in described["targets"]:
        machines = target["machines"]
        if target["architecture"] == arch and any(
            name.startswith(_MACHINES.get(arch, "?")) for name in machines
        ):
            names = (mapping[part]["filename"] for part in ("executable", "nvram-template"))
            return Uefi(*map(Path, names))
    return None


def edk2(arch: str) -> str:
    """The release of EDK2, such as 202211, that the UEFI for *arch* was made of, by the version of
    Debian's package; empty where that is not known."""
    command = ["dpkg-query", "--show", "--showformat=${Version}", PACKAGES.get(arch, "")]
    if shutil.which(command[0]) is None:
        return ""
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.match(r"(\d{4})\.(\d{2})-", said)  # 2022.11-6+deb12u2
    return f"{found[1]}{found[2]}" if found else ""


def choose(cell: str, arch: str, wanted: Sequence[str]) -> str:
    """The first firmware of *wanted* that this machine has.

    Raises :class:`TestbedError`, naming the package, where it has none of them.
    """
    for name in wanted:
        if (name == BIOS and arch == "x86_64") or (name == UEFI and uefi(arch)):
            return name
    package = PACKAGES.get(arch)
    raise TestbedError(
        f"{cell} boots with {' or '.join(wanted) or 'no firmware that is known'}, and this machine"
        f" has none for {arch}",
        hint=f"install the package {package}" if package else "",
        command=f"apt-get install {package}" if package else "",
    )
