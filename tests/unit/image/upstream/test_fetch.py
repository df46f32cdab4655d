"""Fetching from a server on this machine, friendly and hostile."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import lzma
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pysequoia
import pytest

from harness.errors import HarnessError, TestbedError, UsageError
from harness.image import record, store
from harness.image.model import Image
from harness.image.upstream import fixes
from harness.image.upstream.answers import Gone
from harness.image.upstream.catalogue import Upstream
from harness.image.upstream.download import Wanted, download
from harness.image.upstream.fetch import PARTS, Options, cached, fetch, place
from harness.image.upstream.web import Web
from tests.unit.image.upstream.conftest import Place, Write, clear, detached, fingerprint, sha

Opt = Callable[..., Options]


@pytest.fixture
def get(cache: Path, said: list[str], options: Opt) -> Callable[..., Image]:
    return lambda upstream, **more: fetch(upstream, cache, said.append, options(**more))


Get = Callable[..., Image]


def kept(cache: Path) -> list[str]:
    """What is left in the cache, but for locks."""
    return sorted(
        str(path.relative_to(cache)) for path in cache.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    )  # fmt: skip


def refuse(cache: Path, error: HarnessError, *, part: bool = False) -> str:
    """One line, and nothing kept; or a part alone.  Returns the line."""
    assert "\n" not in error.what
    assert error.hint or error.command
    names = kept(cache)
    if part:
        assert len(names) == 2, names
        assert all(name.startswith(PARTS) for name in names)
    else:
        assert names == []
    return error.what


# what goes well


def test_a_pinned_digest_is_enough(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    url = server.serve("/d.qcow2", disk)
    upstream = write(pinned={"url": url, "digest": sha(disk, "sha512"), "size": len(disk)})
    image = get(upstream)
    assert image.path.read_bytes() == disk
    assert image.source == "upstream"
    assert image.digest == sha(disk)
    assert image.firmware == ("bios",)
    assert image.kernel is None
    assert image.origin is not None
    assert (image.origin.url, image.origin.trust) == (url, "pinned digest")
    assert kept(cache) == [f"{image.folder.name}/disk.qcow2", f"{image.folder.name}/image.json"]
    assert get(upstream, offline=True) == image == cached(upstream, cache)
    assert server.paths() == ["/d.qcow2"]
    store.verify(image)
    assert store.list_images(cache) == [image]


def test_force_fetches_again(server: Place, disk: bytes, write: Write, get: Get) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk), "digest": sha(disk)})
    assert get(upstream).digest == get(upstream, force=True).digest
    assert server.paths() == ["/d", "/d"]


def test_a_damaged_image_is_fetched_again(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk), "digest": sha(disk)})
    get(upstream).path.write_bytes(b"short")
    assert cached(upstream, cache) is None
    with pytest.raises(record.Corrupt):
        record.load(place(upstream, cache), full=False)
    assert get(upstream).path.read_bytes() == disk


def lines(disk: bytes, style: str) -> bytes:
    hexes = sha(disk).partition(":")[2]
    return {
        "gnu": f"# a comment\n{'0' * 64}  other.qcow2\n{hexes}  d.qcow2\n",
        "one-space": f"{hexes} d.qcow2\n",
        "binary": f"{hexes} *d.qcow2\n",
        "bsd": f"SHA256 (other.qcow2) = {'0' * 64}\nSHA256 (d.qcow2) = {hexes}\n",
        "bare": f"{hexes}\n",
    }[style].encode()


@pytest.mark.parametrize("style", ["gnu", "one-space", "binary", "bsd", "bare"])
def test_a_signed_checksum(
    style: str, server: Place, disk: bytes, write: Write, get: Get, signer: pysequoia.Tsk
) -> None:
    sums = lines(disk, style)
    image = get(write(latest={
        "url": server.serve("/d.qcow2", disk),
        "checksum": {"url": server.serve("/sums", sums)},
        "signature": {"url": server.serve("/sums.asc", detached(signer, sums)), "key": "toy"},
    }))  # fmt: skip
    assert image.origin is not None
    assert image.origin.trust == f"signed by {fingerprint(signer)}"
    assert image.path.read_bytes() == disk


@pytest.mark.parametrize("style", ["gnu", "bsd"])
def test_a_clearsigned_checksum(
    style: str, server: Place, disk: bytes, write: Write, get: Get, signer: pysequoia.Tsk
) -> None:
    signed = clear(signer, lines(disk, style))
    image = get(write(latest={
        "url": server.serve("/d.qcow2", disk),
        "checksum": {"url": server.url + "/never-asked"},
        "signature": {"url": server.serve("/sums.asc", signed), "key": "toy",
                      "form": "clearsigned"},
    }))  # fmt: skip
    assert image.path.read_bytes() == disk
    assert "/never-asked" not in server.paths()


def test_a_signature_over_the_image_itself(
    server: Place, disk: bytes, write: Write, get: Get, signer: pysequoia.Tsk
) -> None:
    image = get(write(latest={
        "url": server.serve("/d.qcow2", disk),
        "signature": {"url": server.serve("/d.sig", detached(signer, disk)), "key": "toy",
                      "over": "image"},
    }))  # fmt: skip
    assert image.origin is not None
    assert image.origin.trust.startswith("signed by")


def test_the_name_in_a_checksum_file_may_be_a_pattern(
    server: Place, disk: bytes, write: Write, get: Get, signer: pysequoia.Tsk
) -> None:
    sums = f"{sha(disk).partition(':')[2]}  d-1.2-Build7.qcow2\n".encode()
    image = get(write(latest={
        "url": server.serve("/d.qcow2", disk),
        "checksum": {"url": server.serve("/sums", sums), "name": "d-*-Build*.qcow2"},
        "signature": {"url": server.serve("/asc", detached(signer, sums)), "key": "toy"},
    }))  # fmt: skip
    assert image.path.read_bytes() == disk


def test_a_mirror_serves_what_the_first_server_has_not(
    server: Place, mirror: Place, disk: bytes, write: Write, get: Get, said: list[str]
) -> None:
    good = mirror.serve("/d", disk)
    image = get(write(pinned={"url": server.url + "/d", "digest": sha(disk), "mirrors": [good]}))
    assert image.origin is not None
    assert image.origin.url == good
    assert any("trying the next mirror" in line for line in said)


@pytest.mark.parametrize("size", [{}, {"size": True}])
def test_a_mirror_serves_what_the_first_server_has_another_file_of(
    server: Place, mirror: Place, disk: bytes, write: Write, get: Get, said: list[str],
    size: dict[str, bool],
) -> None:  # fmt: skip
    good = mirror.serve("/d", disk)
    image = get(write(pinned={
        "url": server.serve("/d", b"x" * 5000), "digest": sha(disk), "mirrors": [good],
        **({"size": len(disk)} if size else {}),
    }))  # fmt: skip
    assert image.origin is not None
    assert image.origin.url == good
    assert image.path.read_bytes() == disk
    (line,) = [line for line in said if "trying the next mirror" in line]
    assert line.count("toy-1/x86_64") == 1


@pytest.mark.parametrize("missing", ["first", "last", ""])
def test_a_wrong_file_is_told_whatever_the_mirrors_have(
    server: Place, mirror: Place, disk: bytes, write: Write, get: Get, cache: Path,
    signer: pysequoia.Tsk, missing: str,
) -> None:  # fmt: skip
    urls = [place.serve("/d", b"x" * 5000) for place in (server, mirror)]
    if missing:
        (server if missing == "first" else mirror).files.clear()
    upstream = write(
        pinned={"url": urls[0], "digest": sha(disk), "mirrors": urls[1:]},
        latest={"url": server.serve("/new", disk), "signature": {
            "url": server.serve("/sig", detached(signer, disk)), "key": "toy", "over": "image"}},
    )  # fmt: skip
    with pytest.raises(UsageError) as caught:
        get(upstream)
    assert "is not what it should be" in refuse(cache, caught.value)


def test_the_latest_is_not_the_pinned_one_of_the_cache(
    server: Place, disk: bytes, write: Write, get: Get
) -> None:
    new = disk + bytes(512)
    upstream = write(pinned={"url": server.serve("/old", disk), "digest": sha(disk)},
                     latest={"url": server.serve("/new", new)})  # fmt: skip
    assert get(upstream, latest=True, trust="first-use").path.read_bytes() == new
    assert get(upstream, force=True).path.read_bytes() == disk
    with pytest.raises(UsageError, match="the latest image is not in"):
        get(upstream, latest=True, offline=True)
    for _ in range(2):
        assert get(upstream, latest=True, trust="first-use").path.read_bytes() == new
    assert server.paths() == ["/new", "/old", "/new"]


def test_a_rotten_pin_gives_way_to_the_signed_latest(
    server: Place, disk: bytes, write: Write, get: Get, signer: pysequoia.Tsk, said: list[str]
) -> None:
    image = get(write(
        pinned={"url": server.url + "/old", "digest": sha(b"old")},
        latest={"url": server.serve("/new", disk),
                "signature": {"url": server.serve("/sig", detached(signer, disk)), "key": "toy",
                              "over": "image"}},
    ))  # fmt: skip
    assert image.origin is not None
    assert image.origin.url.endswith("/new")
    assert any("the pin has rotted" in line for line in said)


def test_over_https_and_redirects(
    secure: Place, certificate: Path, disk: bytes, write: Write, get: Get, web: Web
) -> None:
    web.ca = str(certificate)
    secure.serve("/d", redirect="/real")
    secure.serve("/real", disk)
    assert get(write(pinned={"url": secure.url + "/d", "digest": sha(disk)})).path.exists()


# resuming


def test_a_broken_download_goes_on_where_it_was(
    server: Place, disk: bytes, write: Write, get: Get
) -> None:
    url = server.serve("/d", disk, break_at=1000, times=1)
    assert get(write(pinned={"url": url, "digest": sha(disk)})).path.read_bytes() == disk
    headers = server.asked[1][2]
    assert headers["Range"] == "bytes=1000-"
    assert headers["If-Range"] == '"one"'


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk, break_at=100), "digest": sha(disk)})
    with pytest.raises(TestbedError) as caught:
        get(upstream)
    assert "broke off" in refuse(cache, caught.value, part=True)
    assert caught.value.hint == "the next call goes on from there"
    server.serve("/d", disk)
    server.asked.clear()
    assert get(upstream).path.read_bytes() == disk
    assert server.asked[0][2]["Range"] == "bytes=300-"  # three attempts of 100 bytes


def test_a_file_that_changed_in_between_is_fetched_from_the_beginning(
    server: Place, disk: bytes, write: Write, get: Get, signer: pysequoia.Tsk
) -> None:
    server.serve("/d", b"x" * 5000, break_at=1000)
    upstream = write(latest={
        "url": server.url + "/d",
        "signature": {"url": server.serve("/sig", detached(signer, disk)), "key": "toy",
                      "over": "image"}})  # fmt: skip
    with pytest.raises(TestbedError):
        get(upstream)
    server.serve("/d", disk, etag='"two"')
    assert get(upstream).path.read_bytes() == disk


def test_a_server_that_ignores_ranges(server: Place, disk: bytes, write: Write, get: Get) -> None:
    url = server.serve("/d", disk, break_at=1000, ranges=False, times=1)
    assert get(write(pinned={"url": url, "digest": sha(disk)})).path.read_bytes() == disk


def test_a_part_that_was_spoiled_is_given_up_once(
    server: Place, disk: bytes, write: Write, get: Get, said: list[str], cache: Path
) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk, break_at=100), "digest": sha(disk)})
    with pytest.raises(TestbedError):
        get(upstream)
    (part,) = (cache / PARTS).glob("*.part")
    part.write_bytes(b"x" * 100)
    server.serve("/d", disk)
    assert get(upstream).path.read_bytes() == disk
    assert any("once more from the beginning" in line for line in said)


def test_what_one_call_put_together_wrongly_is_fetched_once_more(
    server: Place, disk: bytes, write: Write, cache: Path, options: Opt
) -> None:
    """As the machines behind one name do, which have another file at first."""
    url = server.serve("/d", b"x" * len(disk), break_at=1000, times=1)

    def say(line: str) -> None:
        if "again in" in line:
            server.files["/d"].body = disk

    upstream = write(pinned={"url": url, "digest": sha(disk)})
    assert fetch(upstream, cache, say, options()).path.read_bytes() == disk
    assert len(server.asked) == 3


def test_what_is_put_together_wrongly_again_is_refused(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    url = server.serve("/d", disk, break_at=len(disk) // 2 + 1)
    with pytest.raises(UsageError) as caught:
        get(write(pinned={"url": url, "digest": sha(b"another")}))
    assert "is not what it should be" in refuse(cache, caught.value)
    assert len(server.asked) == 4


def test_a_whole_part_is_not_downloaded_again(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk, break_at=100), "digest": sha(disk)})
    with pytest.raises(TestbedError):
        get(upstream)
    (part,) = (cache / PARTS).glob("*.part")
    part.write_bytes(disk)
    server.asked.clear()
    assert get(upstream).path.read_bytes() == disk
    assert server.asked == []


def test_a_part_that_is_longer_than_the_file(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    upstream = write(latest={"url": server.serve("/d", disk, break_at=100)})
    with pytest.raises(TestbedError):
        get(upstream, trust="first-use")
    (part,) = (cache / PARTS).glob("*.part")
    part.write_bytes(disk + b"x")
    server.serve("/d", disk)
    assert get(upstream, trust="first-use").path.read_bytes() == disk


@pytest.mark.parametrize("part", ["none", "bytes 7-9/10", "bytes */10", "bytes 300-310/100000"])
def test_a_server_that_sends_another_part(
    server: Place, disk: bytes, write: Write, get: Get, part: str
) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk, break_at=100), "digest": sha(disk)})
    with pytest.raises(TestbedError):
        get(upstream)
    server.serve("/d", disk, content_range=part)
    assert get(upstream).path.read_bytes() == disk


def test_a_part_that_is_shorter_than_the_range_it_is_said_to_be(
    server: Place, disk: bytes, write: Write, get: Get
) -> None:
    upstream = write(latest={"url": server.serve("/d", disk, break_at=100)})
    with pytest.raises(TestbedError):
        get(upstream, trust="first-use")
    server.serve("/d", disk, length=100, times=1)
    assert get(upstream, trust="first-use").path.read_bytes() == disk


@pytest.mark.parametrize("etag", ['"two"', '"one"'])
def test_a_part_of_another_file_is_not_put_to_the_first(
    server: Place, disk: bytes, write: Write, get: Get, etag: str
) -> None:
    """Of a server that ignores If-Range, where no digest would tell: another tag, or length."""
    first = b"x" * (len(disk) + (etag == '"one"'))
    upstream = write(latest={"url": server.serve("/d", first, break_at=1000)})
    with pytest.raises(TestbedError):
        get(upstream, trust="first-use")
    server.serve("/d", disk, etag=etag, if_range=False)
    assert get(upstream, trust="first-use").path.read_bytes() == disk


# what is refused


def test_a_wrong_digest(server: Place, disk: bytes, write: Write, get: Get, cache: Path) -> None:
    with pytest.raises(UsageError) as caught:
        get(write(pinned={"url": server.serve("/d", disk), "digest": sha(b"other")}))
    said = refuse(cache, caught.value)
    assert sha(disk)[:19] in said
    assert sha(b"other")[:19] in said
    assert caught.value.command == "harness image check toy-1/x86_64"


@pytest.mark.parametrize("over", ["image", "checksum"])
def test_a_signature_by_another_key(
    over: str, server: Place, disk: bytes, write: Write, get: Get, cache: Path,
    stranger: pysequoia.Tsk,
) -> None:  # fmt: skip
    sums = lines(disk, "gnu")
    signed = disk if over == "image" else sums
    upstream = write(latest={
        "url": server.serve("/d.qcow2", disk),
        "checksum": {"url": server.serve("/sums", sums)},
        "signature": {"url": server.serve("/sig", detached(stranger, signed)), "key": "toy",
                      "over": over}})  # fmt: skip
    for level in ("signature", "first-use"):  # no level accepts a bad signature
        with pytest.raises(UsageError) as caught:
            get(upstream, trust=level)
        assert "is not a valid one of" in refuse(cache, caught.value)
    assert ("/d.qcow2" in server.paths()) == (over == "image")


def test_a_clearsigned_file_by_another_key_or_with_lines_around_it(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path,
    signer: pysequoia.Tsk, stranger: pysequoia.Tsk,
) -> None:  # fmt: skip
    def of(message: bytes) -> Upstream:
        return write(latest={
            "url": server.serve("/d.qcow2", disk), "checksum": {"url": server.url + "/no"},
            "signature": {"url": server.serve("/asc", message), "key": "toy",
                          "form": "clearsigned"}})  # fmt: skip

    for message in (clear(stranger, lines(disk, "gnu")), lines(disk, "gnu")):
        with pytest.raises(UsageError) as caught:
            get(of(message))
        assert "is not a valid one of" in refuse(cache, caught.value)
    around = lines(disk, "gnu") + clear(signer, b"nothing of d\n")
    with pytest.raises(TestbedError) as without:
        get(of(around))
    assert "has no SHA-256 or SHA-512 of d.qcow2" in refuse(cache, without.value)


def test_a_subkey_that_the_catalogue_does_not_name(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path, signer: pysequoia.Tsk
) -> None:
    upstream = write(latest={
        "url": server.serve("/d", disk),
        "signature": {"url": server.serve("/sig", detached(signer, disk)), "key": "toy",
                      "over": "image"}})  # fmt: skip
    assert upstream.key is not None
    other = msgspec.structs.replace(upstream.key, signing="C" * 40)
    with pytest.raises(UsageError) as caught:
        get(dataclasses.replace(upstream, key=other))
    assert "it was made by the subkey" in refuse(cache, caught.value)


@pytest.mark.parametrize("signature", [b"", b"no signature", b"\x00\xff" * 40])
def test_a_signature_that_is_none(
    signature: bytes, server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        get(write(latest={
            "url": server.serve("/d", disk),
            "signature": {"url": server.serve("/sig", signature), "key": "toy",
                          "over": "image"}}))  # fmt: skip
    assert "it is no signature" in refuse(cache, caught.value)


def test_a_key_that_is_not_there_or_is_another(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path, keys: Path,
    signer: pysequoia.Tsk, stranger: pysequoia.Tsk,
) -> None:  # fmt: skip
    upstream = write(latest={
        "url": server.serve("/d", disk),
        "signature": {"url": server.serve("/sig", detached(signer, disk)), "key": "toy",
                      "over": "image"}})  # fmt: skip
    (keys / "toy.asc").unlink()
    with pytest.raises(UsageError) as caught:
        get(upstream)
    assert f"the key {fingerprint(signer)} of Toy is not in" in refuse(cache, caught.value)
    assert caught.value.hint.startswith("ask; put it there")
    assert caught.value.command.startswith(f"gpg --export --armor {fingerprint(signer)}")
    (keys / "toy.asc").write_text(str(stranger.extract_certificate()))
    with pytest.raises(UsageError) as caught:
        get(upstream)
    assert f"toy.asc holds {fingerprint(stranger)}" in refuse(cache, caught.value)
    (keys / "toy.asc").write_text("<html>")
    with pytest.raises(UsageError, match="is no OpenPGP key"):
        get(upstream)
    assert server.asked == []  # nothing is asked before the key is there


def test_unsigned_needs_a_decision(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path, said: list[str]
) -> None:
    sums = server.serve("/sums", lines(disk, "gnu"))
    upstream = write(latest={"url": server.serve("/d.qcow2", disk), "checksum": {"url": sums}})
    with pytest.raises(UsageError) as caught:
        get(upstream)
    assert "signs neither" in refuse(cache, caught.value)
    assert caught.value.command == "harness image fetch toy-1/x86_64 --trust checksum"
    image = get(upstream, trust="checksum")
    assert image.origin is not None
    assert image.origin.trust == "unsigned checksum"
    assert any("believed without a signature" in line for line in said)


def test_no_checksum_at_all_needs_a_stronger_one(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    upstream = write(latest={"url": server.serve("/d.qcow2", disk)})
    for level in ("signature", "checksum"):
        with pytest.raises(UsageError) as caught:
            get(upstream, trust=level)
        assert "publishes no checksum" in refuse(cache, caught.value)
    image = get(upstream, trust="first-use")
    assert image.origin is not None
    assert (image.origin.trust, image.origin.digest) == ("first use", sha(disk))


@pytest.mark.parametrize(
    ("sums", "complaint"),
    [
        (b"", "has no SHA-256"),
        (b"d41d8cd98f00b204e9800998ecf8427e  d.qcow2\n", "has no SHA-256"),
        (b"%s  d.qcow2\n%s  d.qcow2\n" % (b"0" * 64, b"1" * 64), "has two different digests"),
        (b"%s  not-d.qcow2\n%s  e\n" % (b"0" * 64, b"1" * 64), "has no SHA-256"),
    ],
)
def test_checksum_files_that_do_not_tell(
    sums: bytes, complaint: str, server: Place, write: Write, get: Get, cache: Path
) -> None:
    upstream = write(latest={"url": server.url + "/d.qcow2",
                             "checksum": {"url": server.serve("/sums", sums)}})  # fmt: skip
    with pytest.raises(TestbedError) as caught:
        get(upstream, trust="checksum")
    assert complaint in refuse(cache, caught.value)
    assert ("renamed" in caught.value.hint) == ("has no" in complaint)
    assert "/d.qcow2" not in server.paths()


def test_a_checksum_file_without_end(server: Place, write: Write, get: Get, cache: Path) -> None:
    upstream = write(latest={"url": server.url + "/d",
                             "checksum": {"url": server.serve("/s", bytes(5 << 20))}})  # fmt: skip
    with pytest.raises(UsageError) as caught:
        get(upstream, trust="checksum")
    assert "more than 4 MiB" in refuse(cache, caught.value)


def test_a_file_that_is_gone(server: Place, write: Write, get: Get, cache: Path) -> None:
    with pytest.raises(Gone) as caught:
        get(write(pinned={"url": server.url + "/d", "digest": sha(b"")}))
    assert "is gone: HTTP 404" in refuse(cache, caught.value)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_that_is_ill_for_a_moment(
    status: int, server: Place, disk: bytes, write: Write, get: Get, said: list[str]
) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk, status=status, times=2),
                             "digest": sha(disk)})  # fmt: skip
    assert get(upstream).path.exists()
    assert sum("again in 0 s" in line for line in said) == 2


def test_a_server_that_stays_ill(server: Place, write: Write, get: Get, cache: Path) -> None:
    upstream = write(pinned={"url": server.serve("/d", status=500), "digest": sha(b"")})
    with pytest.raises(TestbedError) as caught:
        get(upstream)
    assert "answers HTTP 500" in refuse(cache, caught.value)
    assert len(server.asked) == 3


def test_a_range_is_refused_though_none_was_asked_for(
    server: Place, write: Write, get: Get, cache: Path
) -> None:
    with pytest.raises(TestbedError) as caught:
        get(write(pinned={"url": server.serve("/d", b"x", status=416), "digest": sha(b"x")}))
    assert "HTTP 416, though all of the file was asked for" in refuse(cache, caught.value)


def test_forbidden_is_not_asked_again(server: Place, write: Write, get: Get) -> None:
    with pytest.raises(TestbedError, match="HTTP 403"):
        get(write(pinned={"url": server.serve("/d", status=403), "digest": sha(b"")}))
    assert len(server.asked) == 1


def test_nobody_listens(write: Write, get: Get, cache: Path) -> None:
    with pytest.raises(TestbedError) as caught:
        get(write(pinned={"url": "http://127.0.0.1:9/d", "digest": sha(b"")}))
    assert "Connection refused" in refuse(cache, caught.value)


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("what", ["image", "checksum"])
def test_the_page_of_a_captive_portal(
    what: str, content_type: str, server: Place, write: Write, get: Get, cache: Path
) -> None:
    page = b"\n<!DOCTYPE html><html>log in here</html>"
    if what == "image":
        upstream = write(pinned={"url": server.serve("/d", page, content_type=content_type),
                                 "digest": sha(b"")})  # fmt: skip
    else:
        upstream = write(latest={"url": server.url + "/d", "checksum": {
            "url": server.serve("/s", page, content_type=content_type)}})  # fmt: skip
    with pytest.raises(TestbedError) as caught:
        get(upstream, trust="checksum")
    assert "answers with a web page" in refuse(cache, caught.value)
    assert "captive portal" in caught.value.hint


def test_a_redirect_from_https_to_http(
    secure: Place, server: Place, certificate: Path, disk: bytes, write: Write, get: Get,
    web: Web, cache: Path,
) -> None:  # fmt: skip
    web.ca = str(certificate)
    secure.serve("/d", redirect=server.serve("/d", disk))
    with pytest.raises(TestbedError) as caught:
        get(write(pinned={"url": secure.url + "/d", "digest": sha(disk)}))
    assert "from https to something weaker" in refuse(cache, caught.value)
    assert server.asked == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://h.invalid/d", "ftp://h.invalid/"])
def test_a_redirect_to_where_nothing_may_be_asked(
    target: str, server: Place, write: Write, get: Get, cache: Path
) -> None:
    upstream = write(latest={"url": server.serve("/d", redirect=target),
                             "checksum": {"url": server.serve("/s", b"0" * 64)}})  # fmt: skip
    with pytest.raises(TestbedError) as caught:
        get(upstream, trust="checksum")
    assert "redirects astray" in refuse(cache, caught.value)


def test_a_redirect_in_circles(server: Place, write: Write, get: Get, cache: Path) -> None:
    with pytest.raises(TestbedError) as caught:
        get(write(pinned={"url": server.serve("/d", redirect="/d"), "digest": sha(b"")}))
    assert "redirects more than 8 times" in refuse(cache, caught.value)


def test_a_certificate_that_nobody_vouches_for(
    secure: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    with pytest.raises(TestbedError) as caught:
        get(write(pinned={"url": secure.serve("/d", disk), "digest": sha(disk)}))
    assert "certificate is not accepted" in refuse(cache, caught.value)
    assert secure.asked == []


def test_a_server_that_stalls(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path, web: Web
) -> None:
    web.stall, web.attempts = 0.2, 2
    upstream = write(pinned={"url": server.serve("/d", disk, stall_at=100), "digest": sha(disk)})
    with pytest.raises(TestbedError) as caught:
        get(upstream)
    assert caught.value.hint == "the next call goes on from there"
    assert "timed out" in refuse(cache, caught.value, part=True)


def test_a_content_length_that_is_too_small(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    url = server.serve("/d", disk, length=len(disk) - 10)
    with pytest.raises(UsageError) as caught:
        get(write(pinned={"url": url, "digest": sha(disk)}))
    assert "is not what it should be" in refuse(cache, caught.value)


def test_a_content_length_that_is_too_large(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    url = server.serve("/d", disk, length=len(disk) + 10, ranges=False)
    with pytest.raises(TestbedError) as caught:
        get(write(pinned={"url": url, "digest": sha(disk)}))
    assert "broke off" in refuse(cache, caught.value, part=True)


def test_no_content_length(server: Place, disk: bytes, write: Write, get: Get) -> None:
    url = server.serve("/d", disk, length=-1)
    assert get(write(pinned={"url": url, "digest": sha(disk)})).path.read_bytes() == disk


def test_a_size_other_than_the_pinned_one(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    for length in (None, -1):
        url = server.serve("/d", disk, length=length)
        with pytest.raises(UsageError) as caught:
            get(write(pinned={"url": url, "digest": sha(disk), "size": len(disk) - 1}))
        assert "bytes" in refuse(cache, caught.value)


def test_a_body_that_is_compressed_again(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    with pytest.raises(TestbedError) as caught:
        get(write(pinned={"url": server.serve("/d", disk, encoding="gzip"), "digest": sha(disk)}))
    assert "Content-Encoding gzip" in refuse(cache, caught.value)


@pytest.mark.parametrize(
    ("name", "encoding"), [("d", "Identity"), ("d.gz", "x-gzip"), ("d.tar.gz", "GZIP")]
)
def test_a_body_that_is_the_file_itself_whatever_it_is_called(
    server: Place, web: Web, tmp_path: Path, name: str, encoding: str
) -> None:
    data, part = gzip.compress(b"a disk"), tmp_path / "d.part"
    url = server.serve(f"/{name}", data, encoding=encoding)
    download(web, url, Wanted("toy-1/x86_64", part, False), print)
    assert part.read_bytes() == data


def test_a_disk_with_too_little_room(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    with pytest.raises(TestbedError) as caught:
        get(write(pinned={"url": server.serve("/d", disk), "digest": sha(disk)}))
    assert "is full (1 MiB free" in refuse(cache, caught.value)


def test_a_disk_that_is_full_in_the_middle(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk, break_at=10), "digest": sha(disk)})
    with pytest.raises(TestbedError):
        get(upstream)
    (part,) = (cache / PARTS).glob("*.part")
    part.unlink()
    part.symlink_to("/dev/full")  # every write says: no space left on device
    server.serve("/d", disk)
    with pytest.raises(TestbedError, match="is full") as caught:
        get(upstream)
    assert "it goes on from there" in caught.value.hint


@pytest.mark.parametrize("form", ["qcow2", "qcow2.xz"])
def test_a_disk_that_is_full_at_the_end(
    form: str, server: Place, disk: bytes, write: Write, get: Get, cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The download is kept, and what is said of it is so."""
    data = lzma.compress(disk) if form == "qcow2.xz" else disk
    upstream = write(form, pinned={"url": server.serve("/d", data), "digest": sha(data)})

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(record, "write_fetched", full)
        with pytest.raises(TestbedError, match="is full") as caught:
            get(upstream)
    assert "the download is kept" in caught.value.hint
    assert [path.read_bytes() for path in (cache / PARTS).glob("*.part")] == [data]
    image = get(upstream)
    assert image.path.read_bytes() == disk
    assert image.path.stat().st_nlink == 1  # the next download of its name writes elsewhere
    assert server.paths() == ["/d"]


def test_an_interrupted_fix_costs_no_download(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    told = {"path": "/etc/x", "content": "y\n"}
    fix = {"why": "it looks elsewhere", "when": "before-boot", "files": [told]}
    pin = {"url": server.serve("/d", disk), "digest": sha(disk)}
    upstream = write(tables={"fixes": {"x": fix}}, fixes=["x"], pinned=pin)

    def interrupt(raw: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(fixes, "_root", interrupt)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            get(upstream)
        assert [path.read_bytes() for path in (cache / PARTS).glob("*.part")] == [disk]
    assert server.paths() == ["/d"]


def test_a_file_system_without_links(
    server: Place, disk: bytes, write: Write, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_links(*args: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse_links)
    upstream = write(pinned={"url": server.serve("/d", disk), "digest": sha(disk)})
    assert get(upstream).path.read_bytes() == disk


def test_offline(server: Place, disk: bytes, write: Write, get: Get, cache: Path) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk), "digest": sha(disk)})
    with pytest.raises(UsageError) as caught:
        get(upstream, offline=True)
    assert "--offline forbids" in refuse(cache, caught.value)
    assert server.asked == []


def test_an_installer_is_no_disk(server: Place, write: Write, get: Get, cache: Path) -> None:
    with pytest.raises(UsageError) as caught:
        get(write("iso", latest={"url": server.url + "/i.iso"}))
    assert "there is only an installer" in refuse(cache, caught.value)


def test_what_is_verified_but_is_no_disk_is_not_kept(
    server: Place, write: Write, get: Get, cache: Path
) -> None:
    url, sums = server.serve("/d.qcow2", b"x" * 2000), lines(b"x" * 2000, "gnu")
    with pytest.raises(UsageError) as caught:
        get(write(latest={"url": url, "checksum": {"url": server.serve("/sums", sums)}}),
            trust="checksum")  # fmt: skip
    assert refuse(cache, caught.value) == f"toy-1/x86_64: {url}: it is no qcow2 disk"


def test_a_disk_that_was_packed_is_told_without_our_names(
    server: Place, write: Write, get: Get
) -> None:
    data = lzma.compress(b"x" * 513)
    url = server.serve("/d.raw.xz", data)
    with pytest.raises(UsageError, match="the disk in it is no raw disk: 513 bytes are no whole"):
        get(write("raw.xz", pinned={"url": url, "digest": sha(data)}))


def test_what_else_lies_among_the_downloads(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk), "digest": sha(disk)})
    parts = cache / PARTS
    parts.touch()
    with pytest.raises(TestbedError, match="cannot be written to: File exists") as caught:
        get(upstream)
    assert caught.value.hint.startswith("choose another")
    parts.unlink()
    (parts / "old").mkdir(parents=True)
    os.utime(parts / "old", (0, 0))
    assert get(upstream).path.read_bytes() == disk


def test_a_mistake_in_the_catalogue_costs_no_pinned_download(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    url = server.serve("/d", disk)
    pin = {"url": url, "digest": sha(disk)}
    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            get(write("raw", pinned=pin))
        assert refuse(cache, caught.value, part=True) == f"toy-1/x86_64: {url}: it is no raw disk"
        assert caught.value.hint.endswith("right? (the download is kept)")
    image = get(write("qcow2", pinned=pin))
    assert image.path.read_bytes() == disk
    assert server.paths() == ["/d"]
    folder = image.folder.name
    assert kept(cache) == [f"{folder}/disk.qcow2", f"{folder}/image.json"]


def test_what_another_goes_on_with_is_left_to_it(
    server: Place, disk: bytes, write: Write, get: Get, cache: Path
) -> None:
    pin = {"url": server.serve("/d", disk), "digest": sha(disk)}
    wrong = write("raw", pinned=pin)
    with pytest.raises(UsageError):
        get(wrong)
    with store.locked(place(wrong, cache), print):
        assert get(write("qcow2", pinned=pin)).path.read_bytes() == disk
    assert server.paths() == ["/d", "/d"]
    assert [path.read_bytes() for path in (cache / PARTS).glob("*.part")] == [disk]


def _fetch_in_another_process(upstream: Upstream, cache: Path) -> str:
    return fetch(upstream, cache, lambda line: None, Options()).digest


def test_many_processes_fetch_once(server: Place, disk: bytes, write: Write, cache: Path) -> None:
    upstream = write(pinned={"url": server.serve("/d", disk), "digest": sha(disk)})
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        digests = pool.starmap(_fetch_in_another_process, [(upstream, cache)] * 3)
    assert digests == [sha(disk)] * 3
    assert server.paths() == ["/d"]
