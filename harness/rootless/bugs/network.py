"""Networks and ports of the daemon."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.guest.guest import CMDLINE_FILE
from harness.rootless import installing
from harness.rootless.bugs import acts
from harness.rootless.bugs.model import Bug, Case, add
from harness.rootless.expectations.versions import engine_at_least
from harness.rootless.inducers import CannotInduce

PROXY = "rootlesskit-docker-proxy"
_OLD = """
set -e
mv "$1" "$1.new"
cat > "$1" <<'EOT'
#!/bin/sh
# What 0.3 did not have is hidden.
case "$*" in
    *--help*) "$0.new" --help | grep -v -e --netns-type ;;
    *) exec "$0.new" "$@" ;;
esac
EOT
chmod 755 "$1"
"""


def _own_proxy(facts: Facts) -> str:
    if engine_at_least(facts, "28.0"):
        return f"dockerd {facts.engine} needs no proxy of RootlessKit, since 28.0"
    return ""


def _no_proxy(facts: Facts) -> str:
    return "" if facts.binary(PROXY) or _own_proxy(facts) else f"{PROXY} is not installed"


def _hide_proxy(case: Case) -> str:
    if case.facts.binary(PROXY) is None:
        return f"{PROXY} is not installed"
    return f"{installing.hide(case.guest.root, PROXY)} hidden"


def _show_proxy(case: Case) -> str:
    installing.show(case.guest.root, PROXY)
    return f"{PROXY} put back"


def _not_slirp4netns(facts: Facts) -> str:
    if facts.binary("slirp4netns") is None:
        return "slirp4netns is not installed"
    return "vpnkit would be taken instead" if facts.binary("vpnkit") else ""


def _no_sysctl(facts: Facts) -> str:
    if engine_at_least(facts, "29.0"):
        return ""
    return f"dockerd-rootless.sh of engine {facts.engine} sets no IPv6 sysctl: 29.0 began to"


def _without_ipv6(case: Case) -> str:
    if not case.guest.takes_cmdline:
        raise CannotInduce("the kernel's arguments are in the boot loader of the guest's own disk")
    line = f"{case.guest.machine.spec.cmdline} ipv6.disable=1"
    case.guest.root.write(CMDLINE_FILE, line)
    case.guest.reboot()
    return case.guest.root.sh("cat /proc/cmdline; ls -d /proc/sys/net/ipv6", check=False).transcript


def _with_ipv6(case: Case) -> str:
    line = case.guest.machine.spec.cmdline.replace(" ipv6.disable=1", "")
    case.guest.root.write(CMDLINE_FILE, line)
    case.guest.reboot()
    return case.guest.root.run("cat", "/proc/cmdline").transcript


add(Bug(
    name="docker-proxy-missing",
    tracker="moby 49519",
    url="https://github.com/moby/moby/issues/49519",
    seen_on="Ubuntu 22.04",
    summary="the daemon does not start",
    cause="packages of different versions: dockerd before 28 needs rootlesskit-docker-proxy, "
          "and newer rootless extras do not bring it",
    trait="rootlesskit-docker-proxy hidden",
    induce=_hide_proxy,
    attempt=acts.start(),
    symptom=r"rootlesskit-docker-proxy not installed",
    healthy=acts.STARTED,
    cure=_show_proxy,
    cured_by="the binary",
    fixed=_own_proxy,
    cannot=_no_proxy,
))  # fmt: skip

add(Bug(
    name="slirp4netns-old",
    tracker="docker docs 13029",
    url="https://github.com/docker/docs/pull/13029",
    seen_on="Debian",
    summary="the daemon does not start",
    cause="slirp4netns is older than 0.4.0, which is told by its help",
    trait="a wrapper that hides --netns-type in slirp4netns --help",
    induce=lambda case: acts.root(case, _OLD, acts.path_of(case, "slirp4netns")).transcript,
    attempt=acts.start(),
    symptom=r"^[^+\n]*slirp4netns \(>= v0\.4\.0\)",
    healthy=acts.STARTED,
    cure=lambda case: acts.root(
        case, 'mv "$1.new" "$1"', acts.path_of(case, "slirp4netns")
    ).transcript,
    cured_by="slirp4netns 0.4.0 or newer",
    cannot=_not_slirp4netns,
))  # fmt: skip

add(Bug(
    name="no-ipv6",
    tracker="moby 51541",
    url="https://github.com/moby/moby/issues/51541",
    seen_on="Ubuntu",
    summary="the daemon does not start on a kernel without IPv6",
    cause="dockerd-rootless.sh of 29.0 sets net.ipv6.conf.all.forwarding, there or not",
    trait="booted with ipv6.disable=1",
    induce=_without_ipv6,
    attempt=acts.start(),
    symptom=r"/proc/sys/net/ipv6/conf/all/forwarding",
    healthy=acts.STARTED,
    cure=_with_ipv6,
    cured_by="booting without ipv6.disable=1",
    fixed=_no_sysctl,
))  # fmt: skip
