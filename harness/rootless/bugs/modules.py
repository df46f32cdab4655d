"""Kernel modules that are blocked, gone, or not loaded."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.rootless import setuptool
from harness.rootless.bugs import acts
from harness.rootless.bugs.model import Bug, Case, add
from harness.rootless.expectations.requirements import required_module
from harness.rootless.inducers import CannotInduce

_TAKE = """
set -e
for file in $(find "/lib/modules/$(uname -r)/" -name 'ip_tables.ko*'); do
    mv "$file" "/root/${file##*/}" && echo "$file" | tee /root/ip_tables.was
done
depmod
"""
_GIVE_BACK = """
set -e
file=$(cat /root/ip_tables.was)
mv "/root/${file##*/}" "$file"
depmod
modprobe ip_tables
"""
_UPDATE = 'mv "/lib/modules/$(uname -r)" /lib/modules/removed'
_REBOOT = 'mv /lib/modules/removed "/lib/modules/$(uname -r)"'


def _tool_asks_for_nft(facts: Facts) -> str:
    module = required_module(facts)
    if module == "ip_tables":
        return ""
    return f"the setup tool of engine {facts.engine} looks for {module}"


def _no_tool(facts: Facts) -> str:
    return "" if facts.setuptool else "no setup tool is installed"


def _needs_nft(facts: Facts) -> str:
    if facts.iptables != "nft":
        return f"iptables is {facts.iptables or 'missing'}, and may need ip_tables"
    return _no_tool(facts)


def _check_and_obey(case: Case) -> str:
    """`check`, and what it asks root to do."""
    said = setuptool.run(case.guest.user, "check")
    script = said.instructions.partition("<<EOF\n")[2].rpartition("EOF\n")[0]
    if not script:
        return said.transcript
    obeyed = case.guest.root.run("sh", "-eux", input=script, check=False)
    return f"{said.transcript}\n{obeyed.transcript}"


def _take_ip_tables(case: Case) -> str:
    acts.unload(case, "ip_tables")
    return acts.root(case, _TAKE).transcript


def _update_kernel(case: Case) -> str:
    acts.unload(case, "tun")
    done = acts.root(case, _UPDATE).transcript
    if acts.root(case, "exec 3<> /dev/net/tun", check=False).ok:
        raise CannotInduce(f"tun is built into kernel {case.facts.kernel}")
    return done


def _not_loaded(facts: Facts) -> str:
    return "" if "br_netfilter" in facts.modules else "br_netfilter is not loaded"


add(Bug(
    name="ip_tables-blocked",
    tracker="moby 48129",
    url="https://github.com/moby/moby/issues/48129",
    seen_on="Debian 12, hardened",
    summary="the setup tool asks for a module that root cannot load",
    cause="modprobe.d forbids ip_tables, which iptables-nft does not need but the tool looks for",
    trait="install ip_tables /bin/false in modprobe.d",
    induce=acts.induce("ip_tables-module", "blocked"),
    attempt=_check_and_obey,
    symptom=r"could not insert 'ip_tables'",
    healthy=acts.SATISFIED,
    cure=acts.induce("ip_tables-module", "loaded"),
    cured_by="the line removed; --skip-iptables; a tool of 28.1 or newer",
    fixed=_tool_asks_for_nft,
    cannot=_no_tool,
))  # fmt: skip

add(Bug(
    name="ip_tables-gone",
    tracker="moby 49020",
    url="https://github.com/moby/moby/issues/49020",
    seen_on="RHEL 10, CentOS Stream 10",
    summary="the setup tool asks for a module that does not exist",
    cause="the kernel comes without ip_tables, which iptables-nft does not need",
    trait="the module's file moved away, the module unloaded",
    induce=_take_ip_tables,
    attempt=_check_and_obey,
    symptom=r"Module ip_tables not found",
    healthy=acts.SATISFIED,
    cure=acts.as_root(_GIVE_BACK),
    cured_by="the module; --skip-iptables; a tool of 28.1 or newer",
    fixed=_tool_asks_for_nft,
    cannot=_needs_nft,
))  # fmt: skip

add(Bug(
    name="tun-gone",
    tracker="rootlesskit 299",
    url="https://github.com/rootless-containers/rootlesskit/issues/299",
    seen_on="Arch Linux",
    summary="the network of the daemon cannot be set up",
    cause="the kernel was updated and not rebooted: modules of the running one are gone",
    trait="/lib/modules of the running kernel moved away before tun is loaded",
    induce=_update_kernel,
    attempt=acts.start(),
    symptom=r"^open: No such device",
    healthy=acts.STARTED,
    cure=acts.as_root(_REBOOT),
    cured_by="a reboot; here: the modules back in their place",
))  # fmt: skip

add(Bug(
    name="icc-br_netfilter",
    tracker="moby 41913",
    url="https://github.com/moby/moby/issues/41913",
    seen_on="EL 8",
    summary="the daemon does not start with --icc=false",
    cause="br_netfilter is not loaded, and a rootless daemon cannot load it",
    trait="br_netfilter unloaded and blocked",
    induce=acts.induce("br_netfilter-module", "blocked"),
    attempt=acts.start("--icc=false"),
    symptom=r"cannot restrict inter-container communication",
    healthy=acts.STARTED,
    cure=acts.induce("br_netfilter-module", "loaded"),
    cured_by="modprobe br_netfilter as root",
    native=_not_loaded,
))  # fmt: skip
