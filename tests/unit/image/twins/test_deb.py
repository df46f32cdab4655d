"""Debian packages made for a twin, read by dpkg and apt of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.image.twins import deb
from tests.unit.packages.local import need, tiny


def ask(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_dpkg_reads_what_was_packed(tmp_path: Path) -> None:
    need("dpkg-deb")
    engine = tiny(tmp_path / "trees", "engine", requires=("helper",), conflicts=("rival",),
                  post="echo ran")  # fmt: skip
    deb.build([engine], tmp_path / "out", tmp_path / "log")
    path = str(tmp_path / "out/engine_1.0-1_amd64.deb")
    assert ask("dpkg-deb", "--field", path, "Depends", "Conflicts", "Version") == (
        "Depends: helper\nConflicts: rival\nVersion: 1.0-1\n"
    )
    listed = ask("dpkg-deb", "--contents", path)
    assert "-rwsr-xr-x root/root" in next(x for x in listed.splitlines() if "bin/engine" in x)
    (tmp_path / "told").mkdir()
    ask("dpkg-deb", "--control", path, str(tmp_path / "told"))
    assert (tmp_path / "told/postinst").read_text() == "#!/bin/sh\nset -e\necho ran\n"


def test_apt_installs_from_the_repository(tmp_path: Path) -> None:
    """Simulated, with the configuration, lists and cache of a machine that has nothing."""
    need("dpkg-deb", "apt-get")
    trees, out = tmp_path / "trees", tmp_path / "out"
    deb.build([
        tiny(trees, "engine", "2.0", requires=("helper",)),
        tiny(trees, "helper"),
    ], out, tmp_path / "log")  # fmt: skip
    for folder in ("lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/parts"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "status").touch()
    (tmp_path / "twin.list").write_text(f"deb [trusted=yes] file://{out} ./\n")
    settings = {
        "Dir::Etc": tmp_path / "etc", "Dir::Etc::SourceList": tmp_path / "twin.list",
        "Dir::Etc::SourceParts": "-", "Dir::State::Lists": tmp_path / "lists",
        "Dir::State::Status": tmp_path / "status", "Dir::Cache": tmp_path / "cache",
        "APT::Architecture": "amd64", "APT::Sandbox::User": "", "APT::Update::Error-Mode": "any",
    }  # fmt: skip
    words = (word for key, value in settings.items() for word in ("-o", f"{key}={value}"))
    apt = ["apt-get", *words]
    ask(*apt, "update")
    said = ask(*apt, "--simulate", "install", "engine")
    assert "Inst helper (1.0-1" in said
    assert "Inst engine (2.0-1" in said
