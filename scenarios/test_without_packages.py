"""Installing with the script of the manual, for machines without packages.

The script itself is run, where the guest can fetch it.  It is never replaced by one of our own:
a stand-in that installs into ~/bin would show that the stand-in installs into ~/bin.
"""

from __future__ import annotations

import pytest

from harness.distros.base import Distro
from harness.errors import GuestRefusal, TestbedError
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout, Result
from harness.packages import install_anew, manager
from harness.rootless import engine
from harness.session.decide import Decider

pytestmark = [pytest.mark.install, pytest.mark.state("prepared")]

ADDRESS = "https://get.docker.com/rootless"
FETCH = 'curl -fsSL --connect-timeout 20 --max-time 60 "$1" -o "$HOME/installer.sh"'
INSTALL = 'sh "$HOME/installer.sh"'
INSTALL_SECONDS = 300.0
# Whoever has a dockerd in ~/bin has been here before: an empty one does for the script.
PRETEND = 'mkdir -p "$HOME/bin"; touch "$HOME/bin/dockerd"; chmod 755 "$HOME/bin/dockerd"'
FORGET = 'rm "$HOME/bin/dockerd"'
LISTING = 'ls -l "$HOME/bin"; test -x "$HOME/bin/dockerd" && test -x "$HOME/bin/rootlesskit"'
NO_NETWORK = "curl: ("  # curl's own errors, also those of the script's downloads


@pytest.mark.claims("D17", "D17.existing")
def test_installer(guest: Guest, decide: Decider, distro: Distro) -> None:
    """The published script puts the binaries into ~/bin, and leaves those alone that are there."""
    obstacle = fetch(guest, distro)
    if obstacle:
        for key in ("D17", "D17.existing"):
            decide.not_applicable(key, obstacle)
        return
    guest.user.sh(PRETEND)
    again = guest.user.sh(INSTALL, timeout=INSTALL_SECONDS, check=False)
    said = "with a message" if (again.stdout + again.stderr).strip() else "silently"
    decide("D17.existing", f"exits {again.exit_status} {said}", again)

    guest.user.sh(FORGET)
    try:
        result = guest.user.sh(INSTALL, timeout=INSTALL_SECONDS, check=False)
    except CommandTimeout as error:
        raise TestbedError(
            f"the installer did not end: {error.what}", hint="its downloads may be held up",
            detail=error.detail,
        ) from error
    if NO_NETWORK in result.stderr:
        decide.not_applicable("D17", f"the installer cannot download: {last(result)}")
        return
    listing = guest.user.sh(LISTING, check=False)
    seen = "installs into ~/bin" if listing.ok else f"said: {last(result)}"
    evidence = f"{result.transcript}\n{listing.transcript}\n{engine.daemon_log(guest, 20)}"
    decide("D17", seen, evidence)


def fetch(guest: Guest, distro: Distro) -> str:
    """Get the script into the guest.  Returns why that cannot be; empty where it can."""
    if not guest.user.sh("command -v curl", check=False).ok:
        try:
            tool = manager(distro.package_manager, guest.root)
            install_anew(tool, "curl", "ca-certificates")
        except GuestRefusal as refusal:
            return f"the manual's command needs curl, which cannot be installed: {refusal.what}"
    got = guest.user.sh(FETCH, ADDRESS, timeout=90, check=False)
    if got.ok:
        return ""
    return f"the installer at {ADDRESS} cannot be reached from the guest: {last(got)}"


def last(result: Result) -> str:
    lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return lines[-1].strip() if lines else f"exit status {result.exit_status}"
