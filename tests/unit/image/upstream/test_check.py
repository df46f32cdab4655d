"""Asking what is still there, and proposing what to pin."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pysequoia
import pytest

from harness.image.upstream.check import check
from harness.image.upstream.web import Web
from tests.unit.image.upstream.conftest import Place, Write, clear, detached, sha

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
    assert "no digest is published; fetch with --trust first-use" in nothing.proposal
    del latest["checksum"]
    neither = check(write(latest=latest), web, tmp_path / "nowhere")
    assert "no digest to pin: the key" in neither.proposal
    assert not neither.rotten


@pytest.mark.parametrize("form", ["detached", "clearsigned"])
def test_what_a_stranger_signed_is_not_proposed(
    server: Place, write: Write, web: Web, keys: Path, stranger: pysequoia.Tsk, form: str
) -> None:
    text = sums("d")
    signed = (detached if form == "detached" else clear)(stranger, text)
    report = check(write(latest={
        "url": server.serve("/d", BODY), "checksum": {"url": server.serve("/s", text)},
        "signature": {"url": server.serve("/a", signed), "key": "toy", "form": form}}),
        web, keys)  # fmt: skip
    assert report.rotten
    assert report.findings[-1].what == "signature"
    assert report.findings[-1].state == "wrong"
    assert "no digest to pin: the signature" in report.proposal
    assert tomllib.loads(report.proposal) == {}


@pytest.mark.parametrize("body", [None, b"nothing of it\n"])
def test_a_digest_that_cannot_be_had_today_is_none_that_is_not_published(
    server: Place, write: Write, web: Web, body: bytes | None
) -> None:
    place = server.serve("/s", body or b"", status=200 if body else 500)
    latest = {"url": server.serve("/d", BODY), "checksum": {"url": place}}
    report = check(write(latest=latest), web)
    assert "first-use" not in report.proposal
    assert ("has no SHA-256" if body else "HTTP 500") in report.proposal
    assert tomllib.loads(report.proposal) == {}


def test_a_name_is_written_so_that_it_can_be_pasted(
    server: Place, write: Write, web: Web
) -> None:
    report = check(write(latest={
        "url": server.serve("/d.qcow2", BODY),
        "checksum": {"url": server.serve("/s", sums("d v2 ?x#y+z.qcow2")), "name": "d*"}}),
        web)  # fmt: skip
    pin = tomllib.loads(report.proposal)["image"]["pinned"]
    assert pin["url"] == server.url + "/d%20v2%20%3Fx%23y+z.qcow2"
    assert write(pinned=pin).entry.pinned


# what has rotted, and still answers


@pytest.mark.parametrize("name", ["d.qcow2", "d-*.qcow2"])
def test_a_file_that_was_replaced_under_its_name(
    server: Place, write: Write, web: Web, name: str
) -> None:
    url, sums_url = server.serve("/d.qcow2", BODY), server.serve("/s", sums(name.replace("*", "8")))
    latest = {"url": url, "checksum": {"url": sums_url, "name": name}}
    report = check(write(pinned={"url": url, **GONE}, latest=latest), web)
    assert report.findings[0].state == "changed"
    assert sha(BODY)[:19] in report.findings[0].detail
    assert report.rotten
    assert sha(BODY) in report.proposal
    same = check(write(pinned={"url": url, "digest": sha(BODY)}, latest=latest), web)
    assert same.findings[0].state == "answers"
    strong = {"url": url, "digest": sha(BODY, "sha512")}  # of another kind nothing is told
    assert check(write(pinned=strong, latest=latest), web).findings[0].state == "answers"


def test_what_the_file_of_digests_tells_of_a_dated_neighbour(
    server: Place, write: Write, web: Web
) -> None:
    """Of a file in its own directory, and of no other of that name."""
    latest = {"url": server.serve("/now/d", b"new"), "checksum": {
        "url": server.serve("/now/s", sums("d1") + sums("d").replace(b"a", b"b"))}}  # fmt: skip
    for place, state in (("/now/d1", "changed"), ("/old/d1", "answers")):
        pin = {"url": server.serve(place, b"old"), **GONE}
        assert check(write(pinned=pin, latest=latest), web).findings[0].state == state


@pytest.mark.parametrize(
    ("quirks", "state"),
    [
        ({"status": 403}, "refused"), ({"status": 401}, "refused"),
        ({"content_type": "text/html"}, "a page"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_give_it(
    server: Place, write: Write, web: Web, quirks: dict[str, Any], state: str
) -> None:
    report = check(write(pinned={"url": server.serve("/d", BODY, **quirks), **GONE}), web)
    assert report.findings[0].state == state
    assert report.rotten


@pytest.mark.parametrize("status", [405, 501])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_has_no_head(
    server: Place, write: Write, web: Web, status: int, ranges: bool
) -> None:
    pin = {"url": server.serve("/d", BODY, head=status, ranges=ranges), **GONE, "size": 99}
    report = check(write(pinned=pin), web)
    assert report.findings[0].detail == "6 bytes, pinned 99"
    assert [(method, sent.get("Range")) for method, _, sent in server.asked] == [
        ("HEAD", None), ("GET", "bytes=0-0")]  # fmt: skip


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
