"""Installing with the script of the manual, for machines without packages.

The script itself is run, where the guest can fetch it or ``--installer`` names a copy of it, whose
downloads the guest then answers itself.  It is never replaced by one of our own: a stand-in that
installs into ~/bin would show that the stand-in installs into ~/bin.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.distros.base import Distro
from harness.errors import GuestRefusal, TestbedError
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout, Result
from harness.packages import install_anew, manager
from harness.rootless import downloads, engine
from harness.session.decide import Decider

pytestmark = [pytest.mark.install, pytest.mark.state("prepared")]

ADDRESS = "https://get.docker.com/rootless"
FETCH = 'curl -fsSL --connect-timeout 20 --max-time 60 "$1" -o "$HOME/installer.sh"'
INSTALL = 'sh "$HOME/installer.sh"'
INSTALL_SECONDS = 300.0
# Whoever has a dockerd in ~/bin has been here before: an empty one does for the script.
PRETEND = 'mkdir -p "$HOME/bin"; touch "$HOME/bin/dockerd"; chmod 755 "$HOME/bin/dockerd"'
FORGET = 'rm "$HOME/bin/dockerd"'
LISTING = """
ls -l "$HOME/bin"
for name do test -f "$HOME/bin/$name" && test -x "$HOME/bin/$name" || exit 1; done
"""
EXISTING = re.compile(r"^# Existing rootless Docker detected at /home/\w+/bin/dockerd$", re.M)
# What the script asks root to run where something is missing, before it is run again.
ASKED_OF_ROOT = re.compile(r"^cat <<EOF \| sudo sh -x\n(.*?)^EOF$", re.M | re.S)
NO_NETWORK = "curl: ("  # curl's own errors, also those of the script's downloads


@pytest.mark.claims("D17", "D17.existing")
def test_installer(
    guest: Guest, decide: Decider, distro: Distro, installer: Path | None
) -> None:
    """The published script puts the binaries into ~/bin, and leaves those alone that are there."""
    obstacle = give(guest, distro, installer) if installer else fetch(guest, distro)
    if obstacle:
        for key in ("D17", "D17.existing"):
            decide.not_applicable(key, obstacle)
        return
    guest.user.sh(PRETEND)
    again = install(guest)
    if asked := ASKED_OF_ROOT.search(again.stdout):
        guest.root.run("sh", "-ex", input=asked.group(1))
        again = install(guest)
    said = "with a message" if EXISTING.search(again.stdout) else "without its message"
    decide("D17.existing", f"exits {again.exit_status} {said}", again)

    guest.user.sh(FORGET)
    result = install(guest)
    if NO_NETWORK in result.stderr and not installer:
        decide.not_applicable("D17", f"the installer cannot download: {last(result)}")
        return
    # Those of either archive without which nothing runs.
    listing = guest.user.sh(LISTING, "docker", "dockerd", "containerd", "runc", "rootlesskit",
                            "dockerd-rootless.sh", check=False)  # fmt: skip
    fine = listing.ok and (result.ok or engine.late_for_the_tool(guest, result.stderr))
    evidence = "\n".join((
        result.transcript, listing.transcript, engine.daemon_log(guest, 20),
        downloads.asked(guest) if installer else "",
    ))  # fmt: skip
    decide("D17", "installs into ~/bin" if fine else f"said: {last(result)}", evidence)


def install(guest: Guest) -> Result:
    try:
        return guest.user.sh(INSTALL, timeout=INSTALL_SECONDS, check=False)
    except CommandTimeout as error:
        raise TestbedError(
            f"the installer did not end: {error.what}", hint="its downloads may be held up",
            detail=error.detail,
        ) from error


def curl(guest: Guest, distro: Distro) -> str:
    """Install curl where there is none.  Returns why that cannot be; empty where it can."""
    if guest.user.sh("command -v curl", check=False).ok:
        return ""
    try:
        tool = manager(distro.package_manager, guest.root)
        install_anew(tool, "curl", "ca-certificates")
    except GuestRefusal as refusal:
        return f"the manual's command needs curl, which cannot be installed: {refusal.what}"
    return ""


def give(guest: Guest, distro: Distro, copy: Path) -> str:
    """Give the guest *copy*, and what it downloads.  Returns why that cannot be; empty where it
    can."""
    obstacle = curl(guest, distro) or downloads.obstacle(guest)
    if not obstacle:
        home = guest.user.sh('printf %s "$HOME"').stdout
        guest.user.write(f"{home}/installer.sh", copy.read_bytes())
        downloads.serve(guest)
    return obstacle


def fetch(guest: Guest, distro: Distro) -> str:
    """Get the script into the guest.  Returns why that cannot be; empty where it can."""
    if obstacle := curl(guest, distro):
        return obstacle
    got = guest.user.sh(FETCH, ADDRESS, timeout=90, check=False)
    if got.ok:
        return ""
    return f"the installer at {ADDRESS} cannot be reached from the guest, and --installer names " \
           f"no copy of it: {last(got)}"  # fmt: skip


def last(result: Result) -> str:
    lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return lines[-1].strip() if lines else f"exit status {result.exit_status}"
