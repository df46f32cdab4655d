"""One large file into ``NAME.part``, resumed where an earlier attempt or process left off.

A download goes on only where the server says that the file is still the same (If-Range with the
ETag or the date of change), or where the digest, known beforehand, will tell at the end.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import requests
import tenacity

from harness.errors import TestbedError, UsageError
from harness.image.upstream.answers import (
    CHECK,
    RANGE,
    Passing,
    WebPage,
    reason,
    refuse_page,
    whole,
)
from harness.image.upstream.patience import read
from harness.image.upstream.progress import Advance, Say, meter
from harness.image.upstream.schema import LARGEST
from harness.image.upstream.web import TROUBLE, Web

SPARE = 256 << 20  # left free on the disk
CHUNK = 1 << 18
STEP = 64 << 20  # bytes after which free space is looked at, where no length was told
ON = "the next call goes on from there"
SLOWEST = 1024  # bytes a second, over the time after which a server counts as stalled


class Validator(msgspec.Struct, frozen=True):
    """Beside the part: what the server said of the file that the part is of."""

    url: str
    tag: str  # a strong ETag, or Last-Modified
    total: int | None


@dataclass(frozen=True)
class Wanted:
    """``digest_known``: it is compared afterwards, so that any server may go on with what another
    began."""

    cell: str
    part: Path
    digest_known: bool
    digest_pinned: bool = False  # then http may serve it
    size: int | None = None
    limit: int = LARGEST


def discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def move(part: Path, to: Path) -> None:
    """Let what is there of a file be gone on with under another name."""
    with contextlib.suppress(FileNotFoundError):  # without a note, or it is gone
        part.rename(to)
        _note(part).rename(_note(to))


def download(web: Web, url: str, wanted: Wanted, say: Say) -> bool:
    """Leave the whole file at ``part``.  Returns whether an earlier attempt had begun it.

    On failure the part stays where a later call can go on with it.  Raises
    :class:`~.answers.Gone` if the server has no such file, UsageError if it has another than was
    wanted, TestbedError otherwise.
    """

    def again(state: tenacity.RetryCallState) -> None:
        why = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0
        say(f"{wanted.cell}: {getattr(why, 'what', why)}; again in {pause:.0f} s")

    for attempt in web.retrying().copy(before_sleep=again):
        with attempt:
            joined = _attempt(web, url, wanted, say)
    return joined


def _attempt(web: Web, url: str, wanted: Wanted, say: Say) -> bool:
    """As :func:`download`, once."""
    part = wanted.part
    have = part.stat().st_size if part.exists() else 0
    if wanted.digest_known and _complete(part, have):
        return True
    headers = _resume(url, wanted) if have else {}
    if have and not headers:
        discard(part)
        have = 0
    with web.ask(url, headers=headers, digest_pinned=wanted.digest_pinned) as answer:
        if answer.status_code == 416:
            if _complete(part, have):
                return True
            discard(part)
            why = ("what was there of the file does not fit the file any more" if have
                   else "HTTP 416, though all of the file was asked for")  # fmt: skip
            raise Passing(f"{url}: {why}", hint="try again later", command=CHECK)
        have = _where(answer, have, url, wanted)
        total = whole(answer)
        _check_size(url, wanted, total)
        _check_space(part, (total or wanted.size or 0) - have)
        _write_note(part, answer, url, total)
        with meter(wanted.cell, total, have, say) as advance:
            _receive(web, answer, url, wanted, have, total, advance)
    return have > 0


def _resume(url: str, wanted: Wanted) -> dict[str, str]:
    """The headers that ask for the rest; none if nobody could vouch for the beginning."""
    note = _read_note(wanted.part)
    headers = {"Range": f"bytes={wanted.part.stat().st_size}-"}
    if note.tag and note.url == url:
        return {**headers, "If-Range": note.tag}
    return headers if wanted.digest_known else {}


def _where(answer: requests.Response, have: int, url: str, wanted: Wanted) -> int:
    """At which byte the answer begins: where it was asked to, or, if the server ignores ranges
    or has another file by now, at the first.  After any other the part is given up."""
    if answer.status_code != 206:
        return 0
    found = RANGE.fullmatch(answer.headers.get("content-range", ""))
    if not found or int(found[1]) != have or int(found[2]) + 1 != int(found[3]):
        discard(wanted.part)
        raise Passing(f"{url} answers with a part that was not asked for"
                      f" ({answer.headers.get('content-range')!r})", command=CHECK)  # fmt: skip
    if not wanted.digest_known:  # and no digest would tell of what If-Range should have
        note = _read_note(wanted.part)
        if (_tag(answer) or note.tag) != note.tag or note.total not in (None, int(found[3])):
            discard(wanted.part)
            raise Passing(f"{url} answers with a part of another file", command=CHECK)
    return have


def _receive(
    web: Web, answer: requests.Response, url: str, wanted: Wanted, have: int,
    total: int | None, advance: Advance,
) -> None:  # fmt: skip
    done, window, before = have, time.monotonic(), have
    try:
        with wanted.part.open("ab" if have else "wb") as out:
            while more := _read(web, answer, url):
                if done == 0:
                    refuse_page(more, url)
                out.write(more)
                done += len(more)
                advance(len(more))
                if done > min(wanted.limit, wanted.size or wanted.limit):
                    raise _too_large(url, wanted, done)
                if total is None and done // STEP != (done - len(more)) // STEP:
                    _check_space(wanted.part, STEP)
                if (now := time.monotonic()) - window > web.stall:
                    if done - before < SLOWEST * web.stall:
                        raise Passing(
                            f"{url} stalls: {done - before} bytes in {web.stall:.0f} s", hint=ON,
                        )  # fmt: skip
                    window, before = now, done
    except (UsageError, WebPage):
        discard(wanted.part)
        raise
    except OSError as exc:
        if exc.errno == errno.ENOSPC:
            raise _full(wanted.part, (total or 0) - done) from exc
        raise
    if total is not None and done != total:
        raise Passing(f"{url} broke off after {done} of {total} bytes", hint=ON)


def _read(web: Web, answer: requests.Response, url: str) -> bytes:
    try:
        return read(answer, CHUNK, web.stall)
    except TROUBLE as exc:
        raise Passing(f"{url} broke off: {reason(exc)}",
                      hint=ON) from exc  # fmt: skip


def _check_size(url: str, wanted: Wanted, total: int | None) -> None:
    if total is None:
        return
    if wanted.size is not None and total != wanted.size:
        raise UsageError(f"{url} has {total} bytes, and the catalogue says {wanted.size}",
                         hint="the file is not the pinned one",
                         command=f"harness image check {wanted.cell}")  # fmt: skip
    if total > wanted.limit:
        raise _too_large(url, wanted, total)


def _too_large(url: str, wanted: Wanted, size: int) -> UsageError:
    if wanted.size is not None:
        what = f"{url} has more bytes than the {wanted.size} of the catalogue"
    else:
        what = f"{url} has {size} bytes or more; the limit is {wanted.limit}"
    return UsageError(what, command=f"harness image check {wanted.cell}")


def _check_space(part: Path, needed: int) -> None:
    if needed > 0 and shutil.disk_usage(part.parent).free < needed + SPARE:
        raise _full(part, needed)


def _full(part: Path, needed: int) -> TestbedError:
    free = shutil.disk_usage(part.parent).free >> 20
    return TestbedError(
        f"the disk of {part.parent} is full ({free} MiB free; the download needs"
        f" {max(needed, 0) + SPARE >> 20} MiB more)",
        hint="free some space and call again: it goes on from there; or choose another cache"
        " with ROOTLESS_HARNESS_CACHE",
    )


def _complete(part: Path, have: int) -> bool:
    return _read_note(part).total == have


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_note(part: Path) -> Validator:
    """What was noted of a part; of one without a note, nothing."""
    try:
        return msgspec.json.decode(_note(part).read_bytes(), type=Validator)
    except (OSError, msgspec.MsgspecError):
        return Validator("", "", None)


def _write_note(part: Path, answer: requests.Response, url: str, total: int | None) -> None:
    _note(part).write_bytes(msgspec.json.encode(Validator(url, _tag(answer), total)))


def _tag(answer: requests.Response) -> str:
    """By what the server names just this file; empty where it does not."""
    tag = answer.headers.get("etag", "")
    if tag.startswith("W/"):  # weak: the bytes may differ
        tag = ""
    # The date is to the second: good enough where the digest has the last word anyway.
    return tag or answer.headers.get("last-modified", "")
