"""What the kernel and the service manager grant a user: namespaces, processes, controllers."""

from __future__ import annotations

from harness.guest.facts import Facts
from harness.packages import manager
from harness.rootless import engine
from harness.rootless.bugs import acts
from harness.rootless.bugs.model import Bug, Case, add
from harness.rootless.expectations import cgroup
from harness.rootless.expectations.versions import kernel_at_least
from harness.rootless.inducers import CannotInduce

BROUGHT = "/etc/apparmor.d/rootlesskit"
# Ubuntu's kernels have a file of that name, others a word of the mask.
MEDIATES = """
cd /sys/kernel/security/apparmor/features/namespaces
grep -qw userns_create mask || grep -qx yes userns_create
"""
PROFILE_PATH = "/etc/apparmor.d/harness-rootlesskit"
# By the name of the one that AppArmor 4 brings along for this program: of two that fit it equally,
# the kernel takes neither.
PROFILE = """abi <abi/4.0>,
profile rootlesskit {path} {{
  allow all,
  deny userns,
}}
"""


def _no_mediation(facts: Facts) -> str:
    if "apparmor" not in facts.lsms:
        return f"AppArmor is not in charge: {' '.join(facts.lsms)}"
    if not kernel_at_least(facts, "6.7"):
        return f"AppArmor of kernel {facts.kernel} knows no rule for user namespaces: 6.7 has it"
    return ""


def _deny_userns(case: Case) -> str:
    if not acts.root(case, MEDIATES, check=False).ok:
        raise CannotInduce(f"AppArmor of kernel {case.facts.kernel} mediates no user namespaces")
    if not acts.root(case, "command -v apparmor_parser", check=False).ok:
        manager(case.distro.package_manager, case.guest.root).install("apparmor")
    profile = PROFILE.format(path=acts.path_of(case, "rootlesskit"))
    case.guest.root.write(PROFILE_PATH, profile)
    loaded = acts.root(case, 'apparmor_parser -r "$1"', PROFILE_PATH).transcript
    return f"{profile}{loaded}"


def _version_1(facts: Facts) -> str:
    return "" if facts.cgroup == "v2" else f"cgroup {facts.cgroup}: systemd is not asked for units"


def _not_version_2(facts: Facts) -> str:
    if facts.cgroup != "v2":
        return f"cgroup {facts.cgroup}: --cpus is ignored, with a warning"
    return "" if facts.user_session else "the user has no systemd session to delegate to"


def _cpu_not_delegated(facts: Facts) -> str:
    if "cpu" in facts.delegated:
        return ""
    return f"systemd {facts.systemd} delegates {' '.join(facts.delegated) or 'nothing'}"


def _keep_cpu(case: Case) -> str:
    done = acts.induce("delegated-controllers", "memory pids")(case)
    engine.wait_for_daemon(case.guest)
    return done


def _delegate(case: Case) -> str:
    done = case.remedy("delegated-controllers")
    acts.log_in_to_daemon(case)
    return done


add(Bug(
    name="apparmor-userns",
    tracker="moby 47480",
    url="https://github.com/moby/moby/issues/47480",
    seen_on="Ubuntu 24.04",
    summary="RootlessKit may not make a user namespace",
    cause="AppArmor keeps programs without a profile that says `userns` from user namespaces",
    trait="an AppArmor profile that denies rootlesskit `userns`",
    induce=_deny_userns,
    attempt=acts.start(),
    symptom=r"fork/exec /proc/self/exe: permission denied",
    healthy=acts.STARTED,
    cure=acts.as_root(
        'apparmor_parser -R "$1" && rm "$1" || exit; [ ! -e "$2" ] || apparmor_parser -r "$2"',
        PROFILE_PATH, BROUGHT,
    ),
    cured_by="a profile with `userns`: the one that AppArmor 4 brings along",
    cannot=_no_mediation,
))  # fmt: skip

add(Bug(
    name="no-user-namespaces",
    tracker="ansible-role-docker-rootless 249",
    url="https://github.com/konstruktoid/ansible-role-docker-rootless/pull/249",
    seen_on="Ubuntu 22.04, hardened",
    summary="the daemon does not start, although the disk is empty",
    cause="user.max_user_namespaces is 0, and the kernel calls that no space",
    trait="sysctl user.max_user_namespaces=0",
    induce=acts.induce("max-user-namespaces", "0"),
    attempt=acts.start(),
    symptom=r"fork/exec /proc/self/exe: no space left on device",
    healthy=acts.STARTED,
    cure=lambda case: case.remedy("max-user-namespaces"),
    cured_by="the setup tool's own hint: user.max_user_namespaces = 28633",
))  # fmt: skip

add(Bug(
    name="hidepid",
    tracker="runc 3124",
    url="https://github.com/opencontainers/runc/issues/3124",
    seen_on="Ubuntu 20.04, Arch Linux",
    summary="no container starts",
    cause="with hidepid=2 the user's systemd does not see the process that runc asks a unit for",
    trait="mount -o remount,hidepid=2 /proc",
    induce=acts.as_root("mount -o remount,hidepid=2 /proc"),
    attempt=acts.run_container(),
    symptom=cgroup.NO_SCOPE,
    healthy=acts.RAN,
    cure=acts.as_root("mount -o remount,hidepid=0 /proc"),
    cured_by="hidepid=0",
    state="daemon",
    cannot=_version_1,
))  # fmt: skip

add(Bug(
    name="cpu-not-delegated",
    tracker="rootlesskit 282",
    url="https://github.com/rootless-containers/rootlesskit/issues/282",
    seen_on="Debian 11",
    summary="docker run --cpus is refused",
    cause="systemd before 252 does not delegate the cpu controller to users",
    trait="Delegate=memory pids for user@.service",
    induce=_keep_cpu,
    attempt=acts.run_container("--cpus=0.5"),
    symptom=cgroup.NOT_DELEGATED,
    healthy=acts.RAN,
    cure=_delegate,
    cured_by="the manual's Delegate= drop-in, and a new login",
    state="daemon",
    native=_cpu_not_delegated,
    cannot=_not_version_2,
))  # fmt: skip
