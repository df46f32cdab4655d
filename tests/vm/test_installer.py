"""The scenario of the published installer, with stand-ins for it and downloads that guests answer.

The stand-ins show that the scenario sees what an installer does.  What the published one does is
decided where it can be fetched or a copy of it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vm.conftest import Outcome

pytestmark = pytest.mark.nightly

STAND_IN = """
set -e
bin="$HOME/{directory}"
if [ -x "$HOME/bin/dockerd" ]; then
    echo "{words} $HOME/bin/dockerd"
    exit 0
fi
mkdir -p "$bin"
for name in docker docker-rootless-extras; do
    curl -fsL "https://static.example/linux/$name-1.0.tgz" -o "$HOME/got.tgz"
    tar -xzf "$HOME/got.tgz" -C "$bin" --strip-components=1
done
PATH="$bin:$PATH" "$bin/dockerd-rootless-setuptool.sh" install
"""
EXISTING = "# Existing rootless Docker detected at"


@pytest.mark.parametrize(
    ("directory", "words", "verdict"),
    [("bin", EXISTING, "holds"), ("programs", "there is one at", "violated")],
    ids=["as the published one", "otherwise"],
)
def test_what_an_installer_does(
    directory: str, words: str, verdict: str, run_scenarios: Callable[..., Outcome], tmp_path: Path
) -> None:
    script = tmp_path / "installer.sh"
    script.write_text(STAND_IN.format(directory=directory, words=words))
    outcome = run_scenarios(
        "scenarios/test_without_packages.py", "--installer", str(script)
    )
    for key in ("D17", "D17.existing"):
        assert outcome.verdicts(key) == {verdict}, outcome.screen[-6000:]
    assert "docker-rootless-extras-1.0.tgz" in outcome.rows["D17"][0]["evidence"]
