"""Asking what is still there, and proposing what to pin."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pysequoia
import pytest

from harness.image.upstream.check import check
from harness.image.upstream.web import Web
from tests.unit.image.upstream.conftest import Place, Write, detached, sha

BODY = b"a disk"
GONE = {"digest": sha(b"old")}


def sums(name: str) -> bytes:
    return f"{sha(BODY).partition(':')[2]}  {name}\n".encode()


def test_all_is_well(server: Place, write: Write, web: Web) -> None:
    report = check(write(pinned={"url": server.serve("/d", BODY), "digest": sha(BODY)}), web)
    assert [(f.what, f.state) for f in report.findings] == [("pinned", "answers")]
    assert not report.rotten
    assert report.proposal == ""
    assert [method for method, _, _ in server.asked] == ["HEAD"]


def test_a_rotten_pin_is_proposed_anew_with_the_signed_digest(
    server: Place, write: Write, web: Web, keys: Path, signer: pysequoia.Tsk
) -> None:
    text = sums("d-Build8.qcow2")
    report = check(write(
        pinned={"url": server.url + "/old", **GONE},
        latest={"url": server.serve("/now/d.qcow2", BODY),
                "checksum": {"url": server.serve("/now/s", text), "name": "d-*.qcow2"},
                "signature": {"url": server.serve("/now/a", detached(signer, text)),
                              "key": "toy"}}), web, keys)  # fmt: skip
    assert report.rotten
    assert {f.what: f.state for f in report.findings}["pinned"] == "gone"
    assert "# toy-1/x86_64 in toy.toml; signed by" in report.proposal
    (image,) = [tomllib.loads(report.proposal)["image"]]
    assert image["pinned"] == {"url": server.url + "/now/d-Build8.qcow2", "digest": sha(BODY)}


def test_a_proposal_says_when_nothing_vouches_for_it(
    server: Place, write: Write, web: Web, tmp_path: Path, signer: pysequoia.Tsk
) -> None:
    text = sums("d")
    latest: dict[str, Any] = {
        "url": server.serve("/d", BODY), "checksum": {"url": server.serve("/s", text)}
    }  # fmt: skip
    unsigned = check(write(pinned={"url": server.url + "/old", **GONE}, latest=latest), web)
    assert "unsigned: the distro signs nothing here" in unsigned.proposal
    assert "the distro will replace this file" in unsigned.proposal
    latest["signature"] = {"url": server.serve("/a", detached(signer, text)), "key": "toy"}
    no_key = check(write(latest=latest), web, tmp_path / "nowhere")
    assert "unsigned: the key" in no_key.proposal
    assert tomllib.loads(no_key.proposal)["image"]["pinned"]["digest"] == sha(BODY)
    latest["signature"] |= {"over": "image"}
    over = check(write(latest=latest), web, tmp_path / "nowhere")
    assert "unsigned" in over.proposal
    nothing = check(write(latest={"url": server.url + "/d"}), web)
    assert "no digest is published" in nothing.proposal


def test_another_size_is_another_file(server: Place, write: Write, web: Web) -> None:
    pin = {"url": server.serve("/d", BODY), "digest": sha(BODY), "size": 99}
    (finding,) = check(write(pinned=pin), web).findings
    assert (finding.state, finding.detail) == ("changed", "6 bytes, pinned 99")


def test_a_mirror_of_the_latest_is_none_of_the_pin(server: Place, write: Write, web: Web) -> None:
    report = check(write(
        pinned={"url": server.url + "/old", **GONE},
        latest={"url": server.serve("/d", BODY), "mirrors": [server.serve("/e", BODY)],
                "checksum": {"url": server.serve("/s", sums("d"))}}), web)  # fmt: skip
    states = {finding.what: finding.state for finding in report.findings}
    assert (states["pinned"], states["latest mirror"]) == ("gone", "answers")
    assert sha(BODY) in report.proposal


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/d", "SERVER"])
def test_no_answer(url: str, server: Place, write: Write, web: Web) -> None:
    url = url.replace("SERVER", server.serve("/d", status=500))
    report = check(write(pinned={"url": url, **GONE}), web)
    assert report.silent
    assert not report.rotten
    assert report.findings[0].detail
