"""The layout that the suite's own packages have, without the project's repair."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from harness.distros.base import Distro
from harness.errors import GuestRefusal
from harness.guest.guest import Guest
from harness.packages import manager
from harness.rootless import engine, installing, setuptool
from harness.rootless.attempt import words_of_check
from harness.session.decide import Decider

pytestmark = [pytest.mark.install, pytest.mark.state("prepared")]


@pytest.mark.claims("D12", "D13.suite-layout-install")
def test_install(guest: Guest, decide: Decider, distro: Distro) -> None:
    """The package puts the tool where logins find it, and from there it installs."""
    tool = guest.root.run("readlink", "-f", guest.facts.setuptool).stdout.strip()
    owner = manager(distro.package_manager, guest.root).owner(tool)
    directory = installing.suite_layout(guest)
    found = guest.user.sh('command -v "$1"', setuptool.NAME, check=False)
    evidence = f"{tool} belongs to the package {owner or '(none)'}\n{found.transcript}"
    decide("D12", str(PurePosixPath(tool).parent), evidence)

    result = engine.install(guest, env=installing.path_with(guest.user, directory))
    decide("D13.suite-layout-install", installing.outcome(guest, result), result.transcript)


@pytest.mark.claims("P12.suite-layout-check")
def test_check_without_rootlesskit(guest: Guest, decide: Decider, distro: Distro) -> None:
    """`check` notices that rootlesskit is missing, which the engine's package does not bring."""
    packages = manager(distro.package_manager, guest.root)
    tool = guest.root.run("readlink", "-f", guest.facts.setuptool).stdout.strip()
    engine_package = packages.owner(tool)
    rootlesskit = guest.facts.binary("rootlesskit")
    package = rootlesskit.package if rootlesskit else "rootlesskit"
    pulled_in = sorted(packages.depends(engine_package))
    if package in (engine_package, *pulled_in):
        reason = f"{engine_package} brings {package}: it cannot be missing"
        decide.not_applicable("P12.suite-layout-check", reason)
        return
    removal = packages.remove(package) if rootlesskit and package else f"no {package}"
    kept = packages.owner(tool)
    assert kept == engine_package, f"{engine_package} went with {package}: {removal}"
    gone = guest.root.sh("command -v rootlesskit docker-rootlesskit", check=False)
    if gone.ok:
        raise GuestRefusal(f"there is a rootlesskit without the package {package}",
                           detail=gone.transcript)  # fmt: skip

    directory = installing.suite_layout(guest)
    result = setuptool.run(
        guest.user, "check", path=f"{directory}/{setuptool.NAME}",
        env=installing.path_with(guest.user, directory),
    )  # fmt: skip
    evidence = (
        f"{engine_package} needs or recommends: {', '.join(pulled_in)}\n"
        f"{removal}\n{result.transcript}"
    )
    said = words_of_check(result)
    noticed = "rootlesskit" in result.stdout + result.stderr
    decide("P12.suite-layout-check", "missing requirement reported" if noticed else said, evidence)
