"""What the hints do for good: after a reboot."""

from __future__ import annotations

import pytest

from harness.distros.base import Distro
from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.rootless.expectations import lasting, predict
from harness.session.decide import Decider

# knob, the value a distro would set at boot, and where: before the hint's own file, but for
# ping after the file in which systemd opens it
CLONE = ("kernel.unprivileged_userns_clone", "0", "10-distro.conf")
NAMESPACES = ("user.max_user_namespaces", "0", "10-distro-max.conf")
PORTS = ("net.ipv4.ip_unprivileged_port_start", "1024", "60-distro-ports.conf")
PING = ("net.ipv4.ping_group_range", "1 0", "60-distro-ping.conf")
# claim → hint, what sets it at boot, the cured value
LASTING = {
    "P11.lasting": ("userns-clone", CLONE, "1"),
    "M9.lasting": ("max-user-namespaces", NAMESPACES, "28633"),
    "P16.lasting": ("ports-sysctl", PORTS, "0"),
    "M28.lasting": ("ping", PING, "0 2147483647"),
}
OWN = {"M7.lasting": ("arch-userns-clone", CLONE, "1")}  # of one distro alone
PASSING = {
    "M6.lasting": ("userns-clone-19.03", CLONE, "1"),
    "M28.lasting_19.03": ("ping-19.03", PING, "0 2147483647"),
}

FILES = {  # not a hint, but where systemd reads what is to last
    "P16.lasting_file": ("/etc/sysctl.d/99-rootless-ports.conf", PORTS, "0"),
    "M28.lasting_file": ("/etc/sysctl.d/99-rootless-ping.conf", PING, "0 2147483647"),
}

# What a hint on the way to `prepared` has written would last in place of the one in question.
FORGET = """
for file in /etc/sysctl.conf /etc/sysctl.d/*.conf; do
    [ ! -f "$file" ] || [ -L "$file" ] || sed -i "/^[ -]*$1[ =]/d" "$file"
done
"""


def put(guest: Guest, path: str, line: str) -> str:
    """Write a line for sysctl into a file of its own, and have it read."""
    guest.root.write(path, f"{line}\n")
    return guest.root.sh("PATH=$PATH:/usr/sbin:/sbin sysctl --system", check=False).transcript


def cure(guest: Guest, distro: Distro, hint: str) -> str:
    """Run a documented remedy as root, to the letter."""
    return "\n".join(
        guest.root.run("sh", "-c", line, check=False).transcript
        for line in distro.hint(hint).commands_for(guest.access.user)
    )


def value_of(guest: Guest, knob: str) -> tuple[str, Result]:
    result = guest.root.sh('PATH=$PATH:/usr/sbin sysctl -n "$1"', knob, check=False)
    return " ".join(result.stdout.split()), result


def after_reboot(
    guest: Guest, distro: Distro, decide: Decider,
    cases: dict[str, tuple[str, tuple[str, str, str], str]],
) -> None:  # fmt: skip
    """Make the machine set each knob to the bad value at boot, cure it, reboot, look."""
    evidence: dict[str, list[str]] = {}
    for key, (hint, (knob, bad, file), good) in cases.items():
        if not predict(key, guest.facts).applies:
            decide(key, None)
            continue
        own = hint.startswith("/")
        if not own and hint not in (known.name for known in (*distro.hints, *distro.remedies)):
            decide.not_applicable(key, f"no document has the hint {hint} for {distro.title}")
            continue
        guest.root.sh(FORGET, knob)
        guest.root.write(f"/etc/sysctl.d/{file}", f"{knob} = {bad}\n")
        guest.root.sh('PATH=$PATH:/usr/sbin sysctl -w "$1=$2"', knob, bad)
        said = put(guest, hint, f"{knob} = {good}") if own else cure(guest, distro, hint)
        now, seen = value_of(guest, knob)
        if now != good:
            decide(key, f"no cure: {now or 'no answer'}", f"{said}\n{seen.transcript}")
            continue
        evidence[key] = [said, seen.transcript]
    if not evidence:
        return
    guest.reboot()
    # What makes systemd read /etc/sysctl.conf at boot, where anything does.
    link = guest.root.run("ls", "-l", "/etc/sysctl.d/99-sysctl.conf", check=False).transcript
    for key, texts in evidence.items():
        _, (knob, bad, _), good = cases[key]
        now, seen = value_of(guest, knob)
        word = {good: lasting.LASTS, bad: lasting.GONE}.get(now, now)
        decide(key, word, "\n".join([*texts, "after a reboot:", seen.transcript, link]))


@pytest.mark.boot
@pytest.mark.state("prepared")
@pytest.mark.claims("P11.lasting", "M9.lasting", "P16.lasting", "M28.lasting")
def test_lasting(guest: Guest, distro: Distro, decide: Decider) -> None:
    """A hint that is written to a file is still in force after a reboot."""
    after_reboot(guest, distro, decide, LASTING)


@pytest.mark.boot
@pytest.mark.nightly
@pytest.mark.state("prepared")
@pytest.mark.claims("P16.lasting_file", "M28.lasting_file")
def test_file_lasting(guest: Guest, distro: Distro, decide: Decider) -> None:
    """What a hint sets is in force after a reboot where it is written to a file that systemd
    reads."""
    after_reboot(guest, distro, decide, FILES)


@pytest.mark.boot
@pytest.mark.state("prepared")
@pytest.mark.claims("M7.lasting")
def test_own_hint_lasting(guest: Guest, distro: Distro, decide: Decider) -> None:
    """A hint for one distro alone is still in force after a reboot."""
    after_reboot(guest, distro, decide, OWN)


@pytest.mark.boot
@pytest.mark.state("prepared")
@pytest.mark.claims("M6.lasting", "M28.lasting_19.03")
def test_passing(guest: Guest, distro: Distro, decide: Decider) -> None:
    """A hint that is only echoed into /proc is gone after a reboot."""
    after_reboot(guest, distro, decide, PASSING)
