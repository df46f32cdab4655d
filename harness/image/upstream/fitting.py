"""What an entry of the catalogue and the tables that it names must have in common: each may be
right, and a guest still never be entered, or the image refused after its whole download."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.image.twins import deb
from harness.image.upstream import urls
from harness.image.upstream.fixes import files, unwritable
from harness.image.upstream.schema import FORMATS, Boot, Entry, Fix
from harness.matrix import ARCHES

BIOS_ARCH = "x86_64"  # the one architecture that has it
# Endings of what is unpacked by nobody here, or in another format alone.
FOREIGN = ("zip", "7z", "bz2", "zst", "gz", "xz", "tar", "vmdk", "vdi", "vhd", "vhdx",
           "sha256", "sha512", "asc", "sig")  # fmt: skip
SEED = "NoCloud"  # what a guest's cloud-init has to look for


def check(entry: Entry, boot: Boot, fixes: Sequence[Fix]) -> None:
    """Raise ValueError, one line, for what cannot be."""
    for said in _mistakes(entry, boot, fixes):
        raise ValueError(f"{entry.cell}: {said}")


def _mistakes(entry: Entry, boot: Boot, fixes: Sequence[Fix]) -> Iterator[str]:
    arch = entry.cell.partition("/")[2]
    if arch != BIOS_ARCH and "bios" in boot.firmware:
        yield f"firmware 'bios' is of {BIOS_ARCH} alone: no machine of {arch} has it"
    written = files(fixes)
    if written and boot.root != "ext4":
        yield f"{written[0].path} cannot be put into a root of {boot.root} before-boot: ext4 alone"
    yield from filter(None, map(unwritable, written))
    told = any(SEED in file.content for file in written)
    if SEED not in boot.datasources and not told and entry.format != "iso":
        yield (f"datasources has no {SEED}, by which guests learn who may enter, and none of the"
               " fixes before-boot has files with it in their content")  # fmt: skip
    for place in (entry.pinned, entry.latest):
        for url in (place.url, *place.mirrors) if place else ():
            ending = _form(urls.name(url)) or _foreign(urls.name(url), entry.format)
            if ending not in ("", entry.format):
                yield f"format is {entry.format}, and the url {url} ends in .{ending}"
            if other := _other_arch(urls.name(url), arch):
                yield f"the url {url} is of another architecture by its name: {other}"
    for field, values in (
        ("firmware", boot.firmware), ("datasources", boot.datasources), ("fixes", entry.fixes),
        ("unverified", entry.unverified),
        *(("mirrors", (place.url, *place.mirrors)) for place in (entry.pinned, entry.latest)
          if place),
    ):  # fmt: skip
        if twice := _twice(values):
            yield f"{field}: {twice!r} is there twice"


def _form(name: str) -> str:
    """The format that a file's name speaks of; empty where it is none, or any of several."""
    said = [form for form in FORMATS if name.lower().endswith(f".{form}")]
    return max(said, key=len, default="")


def _foreign(name: str, form: str) -> str:
    """The ending of a file's name that no file of the format has."""
    found = next((one for one in FOREIGN if name.lower().endswith(f".{one}")), "")
    return "" if f".{form}".endswith(f".{found}") else found


def _other_arch(name: str, arch: str) -> str:
    """What a file's name calls another architecture."""
    called = {word: one for one in ARCHES for word in (one, deb.ARCHES.get(one, one))}
    said = [word for word in called
            if re.search(rf"(?<![A-Za-z0-9]){word}(?![A-Za-z0-9])", name)]  # fmt: skip
    ours = any(called[word] == arch for word in said)
    return "" if ours else next(iter(said), "")


def _twice(values: Sequence[str]) -> str:
    return next((one for one in values if values.count(one) > 1), "")
