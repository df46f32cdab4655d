"""Resource limits: what the container is told, and whether it bites."""

from __future__ import annotations

import pytest

from harness.guest.guest import Guest
from harness.guest.session import Result
from harness.rootless import printed
from harness.rootless.engine import Docker
from harness.rootless.expectations import cgroup
from harness.session.decide import Decider

pytestmark = [pytest.mark.cgroup]

# Prints the limit as the container's cgroup holds it: of version 2, else of version 1.  What cannot
# fork any more must use the shell's own commands.
LIMIT = """
limit() {
    found=max
    for file; do
        [ -r "/sys/fs/cgroup/$file" ] && { read -r found < "/sys/fs/cgroup/$file"; break; }
    done
    echo "limit $found"
}
"""
LIMIT_OF = {
    name: f"limit {file} {cgroup.FILES_V1[name]}\n" for name, (file, _) in cgroup.FILES.items()
}
# Each then tries to exceed it.
MEMORY = """
dd if=/dev/zero of=/dev/null bs=256M count=1
echo "status $?"
cat /sys/fs/cgroup/memory.events 2> /dev/null
"""
# Of version 1 the file counts nanoseconds, and is what the kernel has for a container without a
# cgroup of its own too: whose it then is can only be busier.
CPU = """
look() {
    read -r up rest < /proc/uptime
    echo "$1_uptime $up"
    cd /sys/fs/cgroup
    cat cpu.stat cpu/cpu.stat 2> /dev/null | sed "s/^/$1_/"
    cat cpuacct/cpuacct.usage 2> /dev/null | sed "s/^/$1_usage_nsec /"
}
look before
timeout 4 sh -c 'while :; do :; done'
look after
"""
# Counts until there are more than enough, or until there come no more: 5 seconds, at most 60.
PIDS = """
bomb() {
    [ "$1" -gt 0 ] || { sleep 60; return; }
    bomb $(($1 - 1)) &
    bomb $(($1 - 1)) &
    wait
}
bomb 6 &
now() { read -r up rest < /proc/uptime; up=${up%.*}; }
now
begun=$up grown=$up most=0
while [ "$most" -le "$enough" ] && [ $((up - grown)) -lt 5 ] && [ $((up - begun)) -lt 60 ]; do
    set -- /proc/[0-9]*
    [ $# -le "$most" ] || { most=$#; grown=$up; }
    now
done
echo "most $most"
"""
QUOTA = 0.5  # of cgroup.FLAGS["cpu"]
PIDS_LIMIT = 50
# A listing of /proc is no snapshot: who ended meanwhile is counted beside who came instead.  With
# a limit of 50, 51 were seen; without one, 192.
PIDS_COUNTED = PIDS_LIMIT + 10
KILLED = 137
PIDS_RUN = f"docker run --rm {cgroup.FLAGS['pids']} busybox sh -c (a fork bomb)"
CANNOT_FORK = "can't fork"
ENDLESS = 1 << 60  # version 1 writes no limit as the largest number of pages


def numbers(result: Result) -> dict[str, str]:
    """The script's ``name value`` lines."""
    pairs = (line.split(maxsplit=1) for line in result.stdout.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def limit_text(text: str) -> str:
    """The limit's text, or ``unlimited``."""
    first = text.split()[0]
    if first in ("max", "-1") or (first.isdecimal() and int(first) >= ENDLESS):
        return "unlimited"
    return text


def run(docker: Docker, flag: str, script: str) -> tuple[Result, dict[str, str]]:
    """A container with one of the flags; no numbers where it did not start."""
    script = LIMIT + LIMIT_OF[flag] + script
    result = docker.run(
        cgroup.FLAGS[flag], "busybox", "sh", "-c", script, timeout=90, check=False
    )
    return result, numbers(result)


def limit_seen(result: Result, seen: dict[str, str]) -> str:
    """The limit that the container's cgroup held, or why there was no container."""
    return limit_text(seen["limit"]) if "limit" in seen else cgroup.refusal(result.stderr)


@pytest.mark.claims("P17.memory", "P17.memory_max")
def test_memory(docker: Docker, decide: Decider) -> None:
    """What a container allocates beyond --memory gets it killed."""
    result, seen = run(docker, "memory", MEMORY)
    if "status" not in seen:
        effect = cgroup.refusal(result.stderr)
    elif seen["status"] == "0":
        effect = "ignored"
    elif seen["status"] == str(KILLED) and int(seen.get("oom_kill", 0)) > 0:
        effect = "enforced"
    else:
        effect = f"status {seen['status']}, {seen.get('oom_kill', 'no')} kills"
    decide("P17.memory", effect, result)
    decide("P17.memory_max", limit_seen(result, seen), result)


@pytest.mark.claims("P17.cpus", "P17.cpu_max")
def test_cpus(docker: Docker, decide: Decider) -> None:
    """A busy container gets no more processor time than --cpus grants.

    Both sides of the ratio are the guest's own, so a busy host does not change it.
    """
    result, seen = run(docker, "cpu", CPU)
    evidence = result.transcript
    used = _used(seen)
    if "after_uptime" not in seen:
        effect = cgroup.refusal(result.stderr)
    elif not used:
        effect = "nobody counted the time used"
    else:
        ratio = used / (_number(seen, "after_uptime") - _number(seen, "before_uptime"))
        throttled = _number(seen, "after_nr_throttled") > 0
        effect = "enforced" if throttled and ratio <= QUOTA * 1.3 else "ignored"
        evidence += f"\n{ratio:.2f} processors used, {'' if throttled else 'not '}throttled"
    decide("P17.cpus", effect, evidence)
    decide("P17.cpu_max", limit_seen(result, seen), result)


def _used(seen: dict[str, str]) -> float:
    """Seconds of processor time between the two looks; 0 where no file tells."""
    for unit, second in (("usec", 1e6), ("nsec", 1e9)):
        if f"after_usage_{unit}" in seen:
            name = f"usage_{unit}"
            return (_number(seen, f"after_{name}") - _number(seen, f"before_{name}")) / second
    return 0


def _number(seen: dict[str, str], name: str) -> float:
    return float(seen.get(name, 0))


@pytest.mark.claims("P17.pids", "P17.pids_max")
def test_pids(docker: Docker, decide: Decider) -> None:
    """A fork bomb in a container stops at --pids-limit, and the guest lives on.

    It would stop by itself at about 200 processes, so that it is harmless without a limit.
    """
    result, seen = run(docker, "pids", f"enough={PIDS_COUNTED}\n{PIDS}")
    refused = result.stderr.count(CANNOT_FORK)
    evidence = f"$ {PIDS_RUN}\n{result.stdout.strip()}\n{refused} times: {CANNOT_FORK}"
    if "most" not in seen:
        effect = cgroup.refusal(result.stderr)
    elif int(seen["most"]) > PIDS_COUNTED:
        effect = "ignored"
    else:
        effect = "enforced" if refused else f"{seen['most']} processes, none refused"
    alive = docker("ps", check=False)
    if not alive.ok:
        effect += ", and the daemon is gone"
    text = f"{evidence}\n{alive.transcript}" if seen else result.transcript
    decide("P17.pids", effect, text)
    decide("P17.pids_max", limit_seen(result, seen), text)


@pytest.mark.claims("P17.cgroup_version", "M12", "M12.top", "P18")
def test_own_cgroup(guest: Guest, docker: Docker, decide: Decider) -> None:
    """Whether containers have cgroups of their own, and what becomes of limits where not."""
    version = docker("info", "--format", "{{.CgroupVersion}} {{.CgroupDriver}}")
    words = printed.as_words(version)
    decide("P17.cgroup_version", words[0], version)

    container = docker("run", "--detach", "busybox", "sleep", "600").stdout.strip()
    pid = docker("inspect", "--format", "{{.State.Pid}}", container).stdout.strip()
    groups = guest.root.run("cat", f"/proc/{pid}/cgroup")
    manager = f"user@{guest.facts.uid}.service"
    own = any(
        manager in line and container in line
        for line in groups.stdout.splitlines()
        if not line.split(":")[1].startswith("name=")  # no controllers, no limits
    )
    decide("M12", "supported" if own else "unsupported", groups)

    top = docker("top", container, check=False)
    listed = top.ok and "sleep 600" in top.stdout
    decide("M12.top", "works" if listed else cgroup.top_failure(top.stderr), top)

    if words[-1] != "none":
        decide("P18", f"the cgroup driver is {words[-1]}", version)
        return
    script = LIMIT + "".join(LIMIT_OF.values())
    result = docker.run(*cgroup.FLAGS.values(), "busybox", "sh", "-c", script, check=False)
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    limits = [limit_text(line[-1]) for line in lines]
    ignored = result.ok and limits == ["unlimited"] * len(LIMIT_OF)
    decide("P18", "ignored" if ignored else f"exit {result.exit_status}, {limits}", result)
