"""What is told of a guest that showed a finding, and what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.guest.facts import Facts
from harness.guest.probe import script
from harness.guest.session import Result
from harness.paths import Cache
from harness.results.model import Row, Verdict
from harness.results.run import HostInfo, RunInfo
from harness.results.store import RunStore, load_run
from harness.rootless.options import Options
from harness.rootless.suspects import compare, find
from harness.rootless.suspects.find import PACKAGE, SECONDS, _without_login, look
from tests.unit.packages.local import Here

HEALTHY = compare.look([
    ["program docker", "docker is /usr/bin/docker", False],
    ["power /usr/bin/rootlesskit", "/usr/bin/rootlesskit has no privilege of its own", False],
    ["file /etc/environment", "/etc/environment says nothing", False, "e3b0"],
    ["argument quiet", "the kernel was started with quiet", False],
])  # fmt: skip


def changed(*things: list[object]) -> tuple[str, ...]:
    return compare.suspects({**HEALTHY, **compare.look(things)}, HEALTHY)


def test_two_guests_alike_have_no_suspects() -> None:
    assert changed() == ()
    assert compare.suspects(HEALTHY, None) == ()


def test_what_differs_is_told_with_what_it_was() -> None:
    assert changed(["file /etc/environment", "/etc/environment: A=1", True, "77"]) == (
        "/etc/environment: A=1 (healthy: /etc/environment says nothing)",
    )
    assert changed(
        ["power /usr/bin/rootlesskit", "/usr/bin/rootlesskit has set-user-id root", True]
    ) == ("/usr/bin/rootlesskit has set-user-id root (healthy: no privilege of its own)",)


def test_what_several_things_tell_is_told_once() -> None:
    limit = "pids.max of the cgroup /user.slice is 20"
    assert changed(["process dockerd", limit, False], ["process runc", limit, False]) == (limit,)


def test_the_same_words_with_other_content_are_told() -> None:
    assert changed(["file /etc/environment", "/etc/environment says nothing", False, "77"]) == (
        "/etc/environment says nothing (healthy: other content)",
    )


def test_what_came_and_what_went() -> None:
    here = {**HEALTHY, **compare.look([["port 80", "something listens on TCP port 80", False]])}
    del here["argument quiet"]
    assert compare.suspects(here, HEALTHY) == (
        "something listens on TCP port 80", "gone: the kernel was started with quiet",
    )  # fmt: skip


def test_a_thing_that_came_or_went_is_told_without_its_details() -> None:
    things = compare.look([
        ["unit user@1000.service", "user@1000.service is there", False],
        ["unit user@1000.service\tDelegate", "user@1000.service has Delegate=yes", False],
    ])  # fmt: skip
    assert compare.suspects(HEALTHY, {**HEALTHY, **things}) == ("gone: user@1000.service is there",)
    assert compare.suspects({**HEALTHY, **things}, HEALTHY) == ("user@1000.service is there",)
    lost = dict(things)
    del lost["unit user@1000.service\tDelegate"]
    assert compare.suspects(lost, things) == ("gone: user@1000.service has Delegate=yes",)


def test_where_nobody_is_let_in_no_variable_of_the_login_is_gone() -> None:
    variable = compare.look([["login PATH", "the user's login has PATH=/bin", False]])
    healthy = {**HEALTHY, **variable}
    assert _without_login(healthy, HEALTHY) == HEALTHY
    other = compare.look([["login LANG", "the user's login has LANG=C", False]])
    assert _without_login(healthy, other) == healthy


def test_a_state_above_tells_only_what_the_one_below_had_not() -> None:
    below = compare.look([["a", "a is odd", True], ["b", "b is 1", True], ["c", "c is 1", True]])
    above = compare.look([["a", "a is odd", True], ["b", "b is 2", True], ["d", "d is odd", True]])
    assert compare.suspects(compare.later(above, below), None) == ("b is 2", "d is odd")


class States:
    """A lab as the looking for suspects has it: what each state looks like, by its key."""

    def __init__(self, keys: dict[str, str], cached: dict[str, compare.Look], facts: Facts) -> None:
        hooks = {"prepared": (Path("open.sh"),)}
        self.options = Options(Cache(Path()), "run", Path(), hooks=hooks)
        self.keys, self.cached, self.facts = keys, cached, facts

    def keys_of(self, *_: object) -> dict[str, str]:
        return self.keys

    def has(self, cell: object, distro: object, state: str) -> bool:
        return self.keys[state] in self.cached

    def guest(self, cell: object, distro: object, state: str) -> Any:
        return SimpleNamespace(look=self.cached[self.keys[state]], facts=self.facts)


def test_without_the_healthy_state_the_one_that_was_altered_is_compared(
    monkeypatch: pytest.MonkeyPatch, debian_12: Facts
) -> None:
    usual = [["mode /etc/shadow", "the file /etc/shadow has mode 640", False]]
    opened = [["mode /etc/shadow", "the file /etc/shadow has mode 644", False]]
    failed = [["failed a.service", "the unit a.service has failed", True]]
    cached = {
        "b": compare.look(usual),
        "p": compare.look(usual),
        "p altered": compare.look(opened),
        "d altered": compare.look([*opened, *failed]),
    }
    plain_keys = {"booted": "b", "prepared": "p", "daemon": "d"}
    altered_keys = {"booted": "b", "prepared": "p altered", "daemon": "d altered"}
    plain = States(plain_keys, cached, debian_12)
    lab: Any = States(altered_keys, cached, debian_12)
    module = sys.modules["harness.rootless.suspects.find"]
    monkeypatch.setattr(module, "Lab", lambda _: plain)
    monkeypatch.setattr(module, "look", lambda guest: guest.look)
    cell: Any = None
    distro: Any = SimpleNamespace(among=lambda _: [])
    assert find(lab, cell, distro, "daemon") == (
        "the file /etc/shadow has mode 644 (healthy: 640)",
        "the unit a.service has failed",
    )
    del cached["p"]
    assert find(lab, cell, distro, "daemon") == ("the unit a.service has failed",)


def test_the_odd_comes_first() -> None:
    told = changed(["port 80", "usual", False], ["program docker", "a goes before b", True])
    assert [text.split(" (")[0] for text in told] == ["a goes before b", "usual"]


def test_without_a_healthy_guest_only_the_odd_is_told() -> None:
    seen = compare.look([["a", "odd", True], ["b", "usual", False]])
    assert compare.suspects(seen, None) == ("odd",)


def test_capabilities_are_named() -> None:
    bind = "0100000200040000000000000000000000000000"
    thing = compare.look([["power x", f"x has file capabilities {bind}", True]])["power x"]
    assert thing.text == "x has file capabilities cap_net_bind_service=ep"


def test_facts_that_differ_are_told(debian_12: Facts) -> None:
    here = replace(
        debian_12,
        sysctls={**debian_12.sysctls, "user.max_user_namespaces": "0"},
        modules=debian_12.modules - {"ip_tables"},
        cgroup="v1",
    )
    before = debian_12.sysctls["user.max_user_namespaces"]
    told = compare.facts(here, debian_12)
    assert f"user.max_user_namespaces is 0 (healthy: {before})" in told
    assert "cgroup is v1 (healthy: v2)" in told
    assert "modules without ip_tables" in told
    assert len(told) == 3
    assert compare.facts(here, here) == ()


def test_the_collector_runs_on_any_linux() -> None:
    asked = json.dumps({
        "user": "root",
        "home": "/nonexistent", "environ": {"PATH": "/usr/bin:/bin", "LD_X": "1"},
        "limits": ["open files    (-n) 64"],
    })  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-I", "-", asked], input=script("guest_collect.py", PACKAGE),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    look = compare.look(json.loads(done.stdout))
    assert look["login LD_X"].odd
    assert "unshare" in look["program unshare"].text
    assert look["limit open files    (-n"].text == "the user's login has open files (-n) 64"
    assert "kernel.pid_max is" in look["switch kernel.pid_max"].text


def test_the_time_that_the_collector_has_is_scaled_once() -> None:
    asked: list[object] = []

    class Root(Here):
        def run(self, *argv: str, **options: Any) -> Result:
            asked.append(options["timeout"])
            return super().run(*argv, **options)

    guest: Any = SimpleNamespace(
        user=Here(), root=Root(), scale=6.0, access=SimpleNamespace(user="root"), end=lambda: None
    )
    assert look(guest)
    assert asked == [SECONDS], "the connection scales it"


def test_packages_that_differ_are_told(debian_12: Facts) -> None:
    here = {**debian_12.packages, "docker.io": "1"}
    del here["uidmap"]
    told = compare.facts(replace(debian_12, packages=here), debian_12)
    assert told == (
        f"the package docker.io is 1 (healthy: {debian_12.packages['docker.io']})",
        f"the package uidmap is not installed (healthy: {debian_12.packages['uidmap']})",
    )


def test_findings_of_one_cell_and_state_get_them(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    host = HostInfo("6.1", "8", "10", "tcg", "")
    store.begin(RunInfo("1", "now", ("x",), "0", host))
    rows = [
        Row("P1", "debian-12/x86_64", "s", Verdict.VIOLATED, state="daemon"),
        Row("P2", "debian-12/x86_64", "s", Verdict.HOLDS, state="daemon"),
        Row("P3", "debian-12/x86_64", "s", Verdict.DRIFT, state="booted"),
        Row("P4", "debian-11/x86_64", "s", Verdict.VIOLATED, state="daemon"),
    ]
    store.add_rows(*rows)
    store.add_suspects("debian-12/x86_64", "daemon", ("the cat",))
    assert [row.suspects for row in load_run(tmp_path).rows] == [("the cat",), (), (), ()]
