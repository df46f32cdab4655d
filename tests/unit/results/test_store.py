from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.errors import UsageError
from harness.results.model import Row, Verdict
from harness.results.run import CellInfo, HostInfo, ImageInfo, RunInfo
from harness.results.store import SCHEMA, RunStore, load_run
from harness.rootless.traits import TRAITS

INFO = RunInfo(
    id="2026-11-22-1",
    started="2026-11-22T03:00:00+00:00",
    command=("pytest", "--cell", "debian-12/x86_64"),
    harness_version="0.1.0",
    host=HostInfo("6.1.0", "7.2.0", "9.0.0", "tcg", "/dev/kvm is absent"),
)
CELL = CellInfo(
    cell="debian-12/x86_64",
    status="available",
    image=ImageInfo("disk.qcow2", "sha256:00", "upstream", "https://h.example/d, signed by 00"),
    engine="20.10.24+dfsg1-1+deb12u1",
    packages={"docker.io": "20.10.24+dfsg1-1+deb12u1"},
    facts={"kernel": "6.1.0", "lsms": ["apparmor"]},
)
ROW = Row(
    "P15", "debian-12/x86_64", "scenarios/test_ports.py::test_low", Verdict.VIOLATED,
    aspect="boundary", expected=1024, observed=80, because="a fact",
    evidence="umlaut ü, broken \udcff, \x1b[31mred",
)


def validate(document: Any) -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)


def read(store: RunStore) -> Any:
    return json.loads(store.path.read_text())


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))


def test_round_trip(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs" / "1")
    store.begin(INFO)
    store.add_cell(CELL)
    store.add_rows(ROW)
    run = store.finish(1)
    assert load_run(store.directory) == run == load_run(store.path)
    assert run.rows == (ROW,)
    assert run.cells == (CELL,)
    assert run.info == INFO
    assert run.complete
    assert run.counts["violated"] == 1


def test_the_document_fits_its_schema_at_every_moment(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.begin(INFO)
    validate(read(store))
    store.add_cell(CellInfo("photon-4/s390x", "unsupported", "no static packages"))
    store.add_cell(CELL)
    for verdict in Verdict:
        store.add_rows(Row("R1", "debian-12/x86_64", "x", verdict))
    store.add_rows(ROW, Row("", "debian-12/x86_64", "x", Verdict.TESTBED_ERROR, observed=None))
    validate(read(store))
    assert read(store)["complete"] is False
    store.finish(1)
    validate(read(store))


def test_rows_of_no_claim_fit_the_schema(tmp_path: Path) -> None:
    """About the guest itself, by every trait's name; and a reproduction's."""
    store = RunStore(tmp_path)
    store.begin(INFO)
    for name in ("traits", "bug", *TRAITS):
        store.add_rows(Row(name, "debian-12/x86_64", "scenarios/test_traits.py", Verdict.HOLDS))
    store.finish(0)
    validate(read(store))


@pytest.mark.parametrize(
    "change",
    [{"schema": 2}, {"finished": None}, {"exit_status": None}, {"surplus": 1},
     {"started": "yesterday"}, {"counts": {"passed": 1}}],
)
def test_the_schema_refuses(tmp_path: Path, change: dict[str, Any]) -> None:
    store = RunStore(tmp_path)
    store.begin(INFO)
    store.finish(0)
    with pytest.raises(jsonschema.ValidationError):
        validate({**read(store), **change})


def test_a_cell_is_replaced(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.begin(INFO)
    store.add_cell(CellInfo("debian-12/x86_64", "available"))
    store.add_cell(CELL)
    assert load_run(tmp_path).cells == (CELL,)


KILLED = """
import sys
from pathlib import Path
from harness.results.model import Row, Verdict
from harness.results.run import HostInfo, RunInfo
from harness.results.store import RunStore, now

store = RunStore(Path(sys.argv[1]))
store.begin(RunInfo("1", now(), (), "0", HostInfo("", "", "", "tcg")))
number = 0
while True:
    number += 1
    store.add_rows(Row("P1", "c", str(number), Verdict.HOLDS, evidence="x" * 5000))
    if number == 20:
        print("go", flush=True)
"""


def test_a_killed_run_can_be_read(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert child.stdout
    child.stdout.readline()
    for _ in range(100):  # while it writes, never half a document
        load_run(tmp_path)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    run = load_run(tmp_path)
    assert not run.complete
    assert run.exit_status is None
    assert run.finished == ""
    assert len(run.rows) >= 20
    validate(json.loads((tmp_path / "run.json").read_text()))


def test_what_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.begin(INFO)
    store.add_rows(ROW)
    with pytest.raises(TypeError):
        store.add_cell(CellInfo("c", "available", facts={"x": object()}))
    store.add_rows(ROW)
    run = load_run(tmp_path)
    assert run.rows == (ROW, ROW)
    assert run.cells == ()


def test_rows_of_several_threads(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.begin(INFO)

    def ten() -> None:
        for _ in range(10):
            store.add_rows(ROW)

    threads = [threading.Thread(target=ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load_run(tmp_path).rows) == 40


def test_an_older_run_is_not_overwritten(tmp_path: Path) -> None:
    RunStore(tmp_path).begin(INFO)
    with pytest.raises(UsageError):
        RunStore(tmp_path).begin(INFO)


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        ("{", "cannot be read: Expecting property name", "name another run"),
        ("", "cannot be read: Expecting value", "name another run"),
        ("[" * 200_000, "cannot be read: maximum recursion", "name another run"),
        ("[]", "not a run: it has no `schema`", "name another run"),
        ("null", "not a run: it has no `schema`", "name another run"),
        ("{}", "not a run: it has no `schema`", "name another run"),
        ('{"schema": 1}', "not a run: Object missing required field", "name another run"),
        ('{"schema": 99}', "schema version 99, but this harness reads 1", "read it with the"),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_not_a_run(tmp_path: Path, content: str, said: str, hint: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UsageError, match=rf"run\.json: {said}") as caught:
        load_run(tmp_path)
    assert caught.value.hint.startswith(hint)


def test_a_directory_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(UsageError, match=r"run\.json: cannot be read: Is a directory\nnext: name"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("rows", ["x"], r"Expected `object`, got `str` - at `\$\.rows\[0\]`"),
        ("rows", [{**ROW.to_json(), "claim": 7}], r"Expected `str`, got `int` - at .*\.claim`"),
        ("rows", [{**ROW.to_json(), "verdict": "maybe"}], r"Invalid enum value 'maybe'"),
        ("rows", [{**ROW.to_json(), "verdict": "\ud800"}], r"surrogates not allowed"),
        ("cells", [{**CELL.to_json(), "image": "x"}], r"got `str` - at .*\.image`"),
        ("counts", None, r"at `\$\.counts`"),
    ],
)
def test_a_run_with_something_else_in_it(
    tmp_path: Path, field: str, value: object, said: str
) -> None:
    store = RunStore(tmp_path)
    store.begin(INFO)
    store.path.write_text(json.dumps({**read(store), field: value}))
    with pytest.raises(UsageError, match=rf"run\.json: not a run: .*{said}"):
        load_run(tmp_path)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such run"):
        load_run(tmp_path / "absent")
