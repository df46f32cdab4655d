"""Publishing ports from the rootless daemon."""

from __future__ import annotations

import re

import pytest

from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.guest.session import CommandTimeout, Result
from harness.rootless import engine
from harness.rootless.engine import Docker
from harness.rootless.expectations import ports
from harness.session.decide import Decider

pytestmark = [pytest.mark.ports]

TOKEN = "served from a container"
KNOB = "net.ipv4.ip_unprivileged_port_start"
BOUNDARY = f'PATH=$PATH:/usr/sbin sysctl -w "{KNOB}=$1"'
# The remedy appends to a file that may be absent.
BOUNDARY_FOUND = f"""
rm -f /root/sysctl.conf.found
[ ! -e /etc/sysctl.conf ] || cp -p /etc/sysctl.conf /root/sysctl.conf.found
PATH=$PATH:/usr/sbin sysctl -n {KNOB}
"""
BOUNDARY_BACK = f"""
if [ -e /root/sysctl.conf.found ]; then
    mv /root/sysctl.conf.found /etc/sysctl.conf
else
    rm -f /etc/sysctl.conf
fi
{BOUNDARY}
"""
CAPABILITIES_BACK = """
PATH=$PATH:/usr/sbin
file=$(command -v rootlesskit)
if [ -n "$1" ]; then setcap "$1" "$file"; else setcap -r "$file"; fi
getcap "$file"
"""


def publish(docker: Docker, port: int) -> tuple[str, Result]:
    """``published`` or ``refused``, from a container that does nothing."""
    result = docker.run("-p", f"{port}:80", "busybox", "true", check=False)
    return _word(result, port, "published"), result


def _word(result: Result, port: int, good: str) -> str:
    if result.ok:
        return good
    return "refused" if ports.refused(port, result.stderr) else "failed"


def serve(guest: Guest, docker: Docker, port: int, good: str) -> tuple[str, str]:
    """Publish a web server on *port*, fetch its page from the guest's own side, remove it."""
    name = f"httpd-{port}"
    script = 'echo "$1" > /tmp/index.html; exec httpd -f -p 80 -h /tmp'
    started = docker(
        "run", "-d", "--name", name, "-p", f"{port}:80", "busybox", "sh", "-c", script, "sh", TOKEN,
        check=False,
    )  # fmt: skip
    evidence = started.transcript
    seen = _word(started, port, good)
    if started.ok:
        page = _fetch(guest, port)
        evidence += "\n" + page.transcript
        seen = good if page.stdout.strip() == TOKEN else "no answer"
    docker("rm", "-f", name, check=False)
    return seen, evidence


def _fetch(guest: Guest, port: int) -> Result:
    """The page, asked for until the server has come up; without one, the last answer says why.
    It is asked for seldom: who waits for the page is to see whether the guest idles."""
    url = f"http://127.0.0.1:{port}/"
    last: list[Result] = []

    def answered() -> bool:
        # Not wget's own -T: Debian's static busybox crashes on it.
        last[:] = [
            guest.user.run("timeout", "20", "busybox", "wget", "-q", "-O", "-", url, check=False)
        ]
        return last[0].ok

    try:
        guest.wait_until(answered, f"a page from {url}", 20, pause=2)
    except CommandTimeout as error:
        if not guest.idle(error):
            raise
    return last[0]


def remedy(guest: Guest, distro: Distro, name: str) -> str:
    """Run the documented remedy *name* as root, to the letter."""
    commands = distro.hint(name).commands_for(guest.access.user)
    results = [guest.root.run("sh", "-c", command) for command in commands]
    return "\n".join(result.transcript for result in results)


@pytest.mark.claims("P15.low_port", "P15.exit")
def test_port_80(guest: Guest, docker: Docker, decide: Decider) -> None:
    """Ports below the boundary cannot be published by a user."""
    seen, result = publish(docker, 80)
    decide("P15.low_port", seen, result)
    decide("P15.exit", result.exit_status, result)


@pytest.mark.claims("P15.1023", "P15.1024", "M17")
def test_boundary(guest: Guest, docker: Docker, decide: Decider) -> None:
    """The lowest host port that a user may publish is 1024, and not one less."""
    below, first = publish(docker, 1023)
    at, second = publish(docker, 1024)
    decide("P15.1023", below, first)
    decide("P15.1024", at, second)
    both = f"{first.transcript}\n{second.transcript}"
    decide("M17", f"1023 {below}, 1024 {at}", both)


@pytest.mark.claims("P15.high_port")
def test_port_8080_serves(guest: Guest, docker: Docker, decide: Decider) -> None:
    """A web server in a container, published on 8080, is reached from the machine itself."""
    decide("P15.high_port", *serve(guest, docker, 8080, "served"))


@pytest.mark.claims("P16.sysctl", "P16.undone")
def test_sysctl_opens_port_80(
    guest: Guest, docker: Docker, decide: Decider, distro: Distro
) -> None:
    """Lowering the kernel's boundary lets a user publish port 80; the one found forbids it."""
    found = guest.root.sh(BOUNDARY_FOUND).stdout.strip()
    done = remedy(guest, distro, "ports-sysctl")
    seen, evidence = serve(guest, docker, 80, "answers")
    decide("P16.sysctl", seen, f"{done}\n{evidence}")

    undone = guest.root.sh(BOUNDARY_BACK, found)
    seen, evidence = serve(guest, docker, 80, "answers")
    decide("P16.undone", seen, f"{undone.transcript}\n{evidence}")


@pytest.mark.claims("P16.capability", "P16.undone")
def test_capability_opens_port_80(
    guest: Guest, docker: Docker, decide: Decider, distro: Distro
) -> None:
    """A rootlesskit that may bind low ports publishes port 80, until that is taken from it."""
    found = guest.root.sh(BOUNDARY_FOUND).stdout.strip()
    guest.root.sh(BOUNDARY, "1024")  # so that nothing but the capability can open the port
    done = remedy(guest, distro, "ports-capability")
    engine.restart(guest)
    seen, evidence = serve(guest, docker, 80, "answers")
    decide("P16.capability", seen, f"{done}\n{evidence}")

    rootlesskit = guest.facts.binary("rootlesskit")
    undone = guest.root.sh(CAPABILITIES_BACK, rootlesskit.capabilities if rootlesskit else "")
    guest.root.sh(BOUNDARY_BACK, found)
    engine.restart(guest)
    seen, evidence = serve(guest, docker, 80, "answers")
    decide("P16.undone", seen, f"{undone.transcript}\n{evidence}")


@pytest.mark.claims("M16.sctp", "M16.exit", "M16.log")
def test_sctp(guest: Guest, docker: Docker, decide: Decider) -> None:
    """An SCTP port is not published by a user's daemon, though only its log may say so."""
    result = docker(
        "run", "-d", "-p", "5001:5001/sctp", "busybox", "sleep", "600", check=False
    )  # fmt: skip
    endpoints = guest.root.sh(
        "modprobe sctp 2>/dev/null; cat /proc/net/sctp/eps /proc/net/sctp/assocs", check=False
    )
    # ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS
    lines = [line.split() for line in endpoints.stdout.splitlines()]
    listens = any(len(words) > 5 and words[5] == "5001" for words in lines)
    log = engine.daemon_log(guest)
    evidence = f"{result.transcript}\n{endpoints.transcript}\n{engine.daemon_log(guest, 20)}"
    decide("M16.sctp", "listens" if listens else "nothing listens", evidence)
    decide("M16.exit", result.exit_status, result)
    said = [line for line in log.splitlines() if re.search(ports.UNSUPPORTED, line)]
    decide("M16.log", "says so" if said else "silent", "\n".join([result.transcript, *said]))
