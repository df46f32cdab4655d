"""The lab, as far as it goes without a guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.distros.debian import DEBIAN_12
from harness.errors import TestbedError
from harness.matrix import Cell
from harness.paths import cache
from harness.rootless import sourcing
from harness.rootless.lab import Lab, Options


def test_a_wrong_uri_is_told_before_an_image_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*args: object) -> None:
        raise AssertionError("an image is being built")

    monkeypatch.setattr(sourcing, "image", build)
    lab = Lab(Options(cache(tmp_path), "run", tmp_path / "run", uri="nonsense:///x"))
    with pytest.raises(TestbedError, match="libvirt did not open nonsense:///x"):
        lab.image(Cell("debian", "12", "x86_64"), DEBIAN_12)
