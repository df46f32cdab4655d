"""Users, subordinate ids and the helpers that write id maps."""

from __future__ import annotations

from harness.errors import GuestRefusal
from harness.guest.facts import Facts
from harness.packages import install_anew, manager
from harness.rootless import engine
from harness.rootless.bugs import acts
from harness.rootless.bugs.layers import File, load
from harness.rootless.bugs.model import Bug, Case, add
from harness.rootless.expectations import ids
from harness.rootless.expectations.versions import rootlesskit_at_least
from harness.rootless.inducers import CannotInduce

NOBODY = 65534
FEW = 1000
# Before glibc 2.34 what runs goes on with the nsswitch.conf that it was started with, and a logind
# that cannot name the user gives no XDG_RUNTIME_DIR.
_ELSEWHERE = """
set -e
mkdir -p /var/lib/extrausers
for file in passwd shadow; do
    grep "^$1:" "/etc/$file" > "/var/lib/extrausers/$file"
    sed -i "/^$1:/d" "/etc/$file"
    sed -i "s/^$file:.*/$file: files extrausers/" /etc/nsswitch.conf
done
systemctl restart systemd-logind.service
! grep "^$1:" /etc/passwd
getent passwd "$1"
"""


def _move_user(case: Case) -> str:
    try:
        tool = manager(case.distro.package_manager, case.guest.root)
        install_anew(tool, "libnss-extrausers")
    except GuestRefusal as refusal:
        raise CannotInduce(f"no users but those of /etc/passwd: {refusal.what}") from refusal
    return acts.root(case, _ELSEWHERE, case.guest.access.user).transcript


def _asks_for_names(facts: Facts) -> str:
    if rootlesskit_at_least(facts, "0.3.0"):
        return f"rootlesskit {facts.rootlesskit} asks the system who the user is, since 0.3.0"
    return ""


def _drops_repeated(facts: Facts) -> str:
    """rootlesskit pull request 369, where ``getsubids`` is asked; shadow has it since 4.9."""
    if rootlesskit_at_least(facts, "1.1.1"):
        return f"rootlesskit {facts.rootlesskit} drops what getsubids says twice, since 1.1.1"
    return ""


def _give_ids(case: Case, count: int) -> str:
    start = case.facts.subuid[0].start
    line = f"{case.guest.access.user}:{start}:{count}\n"
    done = case.guest.root.run("tee", "/etc/subuid", "/etc/subgid", input=line)
    engine.restart(case.guest)
    return done.transcript


def _no_ids(facts: Facts) -> str:
    return "" if facts.subuid else "the user has no subordinate ids"


add(Bug(
    name="newuidmap-powerless",
    tracker="buildkit 1904",
    url="https://github.com/moby/buildkit/issues/1904",
    seen_on="Arch Linux",
    summary="RootlessKit cannot set up the id map",
    cause="newuidmap has lost its setuid bit or file capability",
    trait="chmod u-s newuidmap",
    induce=acts.induce("newuidmap", "powerless"),
    attempt=acts.start(),
    symptom=r"newuidmap: (Could not set caps|write to uid_map failed: Operation not permitted)",
    healthy=acts.STARTED,
    cure=acts.induce("newuidmap", "setuid root"),
    cured_by="chmod u+s newuidmap",
))  # fmt: skip

add(Bug(
    name="subuid-twice",
    tracker="rootlesskit 229",
    url="https://github.com/rootless-containers/rootlesskit/issues/229",
    seen_on="buildroot",
    summary="RootlessKit cannot set up the id map",
    cause="/etc/subuid gives the user the same ids twice, and both lines go into the map",
    trait="every line of /etc/subuid twice",
    induce=acts.as_root("sed -i p /etc/subuid; cat /etc/subuid"),
    attempt=acts.start(),
    symptom=r"write to uid_map failed: Invalid argument",
    healthy=acts.STARTED,
    cure=acts.as_root("sort -u -o /etc/subuid /etc/subuid; cat /etc/subuid"),
    cured_by="one line a user",
    cannot=_no_ids,
    fixed=_drops_repeated,
))  # fmt: skip

add(Bug(
    name="user-not-local",
    tracker="rootlesskit 48",
    url="https://github.com/rootless-containers/rootlesskit/issues/48",
    seen_on="RHEL 7 with NIS",
    summary="RootlessKit does not know the user",
    cause="it read /etc/passwd instead of asking the system, where users come from elsewhere",
    trait="the user moved from /etc/passwd to libnss-extrausers",
    induce=_move_user,
    attempt=acts.start(),
    symptom=r"no matching entries in passwd",
    healthy=acts.STARTED,
    fixed=_asks_for_names,
))  # fmt: skip

add(Bug(
    name="ids-too-few",
    tracker="rootlesskit 304",
    url="https://github.com/rootless-containers/rootlesskit/issues/304",
    seen_on="not said",
    summary="an image with a file of a high owner cannot be loaded",
    cause="the user's range of subordinate ids is smaller than the owner's number",
    trait=f"{FEW} subordinate ids, and a layer with a file of owner {NOBODY}",
    induce=lambda case: _give_ids(case, FEW),
    attempt=lambda case: load(case, "owned", (File("owned", NOBODY),)),
    symptom=ids.TOO_SMALL,
    healthy=r"^Loaded image",
    cure=lambda case: _give_ids(case, 65536),
    cured_by="65536 subordinate ids, and a restart of the daemon",
    state="daemon",
    cannot=_no_ids,
))  # fmt: skip
