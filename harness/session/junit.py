"""JUnit XML beside run.json, for whatever shows test results elsewhere."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from _pytest.junitxml import xml_key

FILE = "junit.xml"


def asked(config: pytest.Config, scenarios: Path) -> bool:
    """Whether any of *scenarios*, a directory, are asked for."""
    start = config.invocation_params.dir
    paths = [(start / argument.split("::")[0]).resolve() for argument in config.args]
    return any(path == scenarios or scenarios in path.parents for path in paths)


def by_default(config: pytest.Config, run_dir: Path, scenarios: Path) -> bool:
    """Have pytest write one into the directory of the run, unless the user said where, or no
    scenarios are asked for.  Call it before pytest's own plugin is configured."""
    if config.option.xmlpath or config.option.collectonly or not config.pluginmanager.has_plugin(
        "junitxml"
    ):
        return False
    if not asked(config, scenarios):
        return False
    config.option.xmlpath = str(run_dir / FILE)
    return True


def withdraw(config: pytest.Config) -> None:
    """No scenario ran, so there is no run: nothing is left of the file either."""
    path = Path(config.option.xmlpath)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    plugin = config.stash.get(xml_key, None)
    if plugin is not None:  # it would tell where the file is
        del config.stash[xml_key]
        config.pluginmanager.unregister(plugin)
