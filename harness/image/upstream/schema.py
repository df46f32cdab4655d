"""What a file of the catalogue may say.  docs/images.md explains every field."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date

import msgspec

from harness.image import document
from harness.image.recipe import File
from harness.image.upstream import urls
from harness.matrix import ARCHES

PROVENANCES = ("official", "community", "self-built")
# What is downloaded.  An iso is an installer: catalogued, but there is no disk in it.
FORMATS = ("qcow2", "raw", "qcow2.xz", "raw.xz", "raw.tar.gz", "vhd.tar.gz", "ova", "iso")
FIRMWARES = ("bios", "uefi")
BUSES = ("virtio", "sata", "nvme")
NICS = ("virtio", "e1000e", "vmxnet3")
FILE_SYSTEMS = ("ext4", "btrfs", "xfs")
DATASOURCES = ("NoCloud", "ConfigDrive", "OpenStack", "VMware", "Ec2", "Azure", "none")
OVER = ("checksum", "image")
FORMS = ("detached", "clearsigned")
BEFORE_BOOT = "before-boot"
WHEN = (BEFORE_BOOT, "first-boot", "before-packages")

LARGEST = 16 << 30  # bytes to download; no image of the catalogue comes near

_CELL = re.compile(r"[a-z0-9]{1,32}-(?=.{1,32}/)[a-z0-9]+(?:[.-][a-z0-9]+)*/([a-z0-9_]+)")
_DAY = re.compile(r"2[0-9]{3}-[0-9]{2}-[0-9]{2}")
_MONTH = re.compile(r"20[0-9]{2}(0[1-9]|1[0-2])")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An OpenPGP key.  ``fingerprint`` is the primary key's, in full; ``signing`` that of the
    one subkey that may sign, where it is known.  ``obtain`` tells a person where it is found, and
    ``shipped`` whether images/keys has it."""

    fingerprint: str
    owner: str
    obtain: str
    signing: str = ""
    shipped: bool = True

    def __post_init__(self) -> None:
        for field in ("fingerprint", "signing"):
            value = getattr(self, field)
            if not _FINGERPRINT.fullmatch(value) and not (field == "signing" and not value):
                raise ValueError(
                    f"{field} {value!r} is not a full fingerprint: 40 or 64 of 0-9 and A-F"
                )
        _words(self, "owner", "obtain")


class Pinned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file for ever: the digest is the anchor, whoever serves it."""

    url: str
    digest: str  # sha256:… or sha512:…, of the file as it is downloaded
    size: int | None = None  # bytes
    mirrors: tuple[str, ...] = ()  # other URLs of the same file

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.digest):
            raise ValueError(
                f"digest {self.digest!r} is not sha256: and 64, or sha512: and 128 of 0-9 and a-f"
            )
        if self.size is not None and not 0 < self.size <= LARGEST:
            raise ValueError(
                f"size {self.size} is not a number of bytes from 1 to {LARGEST} (16 GiB)"
            )
        for url in (self.url, *self.mirrors):
            urls.check_file(url, digest_pinned=True)


class Checksum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of digests.  ``name`` is a pattern (as of a shell) for the line that is meant, where
    the file does not call the image by the last part of its URL."""

    url: str
    name: str = ""

    def __post_init__(self) -> None:
        urls.check_file(self.url)
        if not self.name.isprintable():
            raise ValueError(f"name {self.name!r} is not one plain line")
        if self.name != self.name.strip() or "/" in self.name:
            raise ValueError(f"name {self.name!r} is that of no file in the same directory")


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``clearsigned``: the file of digests is inside the signature's own file."""

    url: str
    key: str  # a name in [keys]
    over: str = "checksum"
    form: str = "detached"

    def __post_init__(self) -> None:
        urls.check_file(self.url)
        one_of("over", self.over, OVER)
        one_of("form", self.form, FORMS)
        if self.over == "image" and self.form == "clearsigned":
            raise ValueError("form 'clearsigned' is for a checksum file: expected over = checksum")


class Latest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the distro serves under this name today."""

    url: str
    checksum: Checksum | None = None
    signature: Signature | None = None
    mirrors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for url in (self.url, *self.mirrors):
            urls.check_file(url)
        for field, holder in (("checksum", self.checksum), ("signature", self.signature)):
            if holder and holder.url in (self.url, *self.mirrors):
                raise ValueError(f"{field}: url {holder.url!r} is that of the image")
        over = self.signature.over if self.signature else ""
        if over == "checksum" and self.checksum is None:
            raise ValueError("signature is over a checksum: expected the field `checksum` too")


class Boot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The machine that an image was made for."""

    firmware: tuple[str, ...]  # the first is to be preferred
    disk: str  # bus of the disk
    seed: str  # bus of the cloud-init seed
    nic: str
    root: str  # file system
    console: str  # serial console, as the kernel calls it, or "off"
    user: str  # of the image; guests get one of their own
    datasources: tuple[str, ...]
    edk2_before: str | None = None  # the first release of EDK2, such as 202211, on which it crashes

    def __post_init__(self) -> None:
        if self.edk2_before is not None and not _MONTH.fullmatch(self.edk2_before):
            raise ValueError(f"edk2_before {self.edk2_before!r} is no release such as 202211")
        if not self.firmware:
            raise ValueError(f"firmware is empty: expected some of {', '.join(FIRMWARES)}")
        for firmware in self.firmware:
            one_of("firmware", firmware, FIRMWARES)
        one_of("disk", self.disk, BUSES)
        one_of("seed", self.seed, BUSES)
        one_of("nic", self.nic, NICS)
        one_of("root", self.root, FILE_SYSTEMS)
        if not self.datasources:
            raise ValueError(f"datasources is empty: expected some of {', '.join(DATASOURCES)}")
        for source in self.datasources:
            one_of("datasources", source, DATASOURCES)
        if "none" in self.datasources and len(self.datasources) > 1:
            raise ValueError("datasources has 'none' and others: expected none alone")
        if not re.fullmatch(r"off|(ttyS|ttyAMA|hvc)[0-9]{1,2}", self.console):
            raise ValueError(f"console {self.console!r} is neither a serial one nor 'off'")
        if not _USER.fullmatch(self.user):
            raise ValueError(f"user {self.user!r} is no name of a user such as debian")


class Fix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an image needs before it can be used.  ``before-boot``: files, in the disk itself."""

    why: str
    when: str
    files: tuple[File, ...] = ()
    commands: tuple[str, ...] = ()  # shell, as root
    reboot: bool = False

    def __post_init__(self) -> None:
        _words(self, "why")
        document.filled(self, elements=("commands",))
        one_of("when", self.when, WHEN)
        if not self.files and not self.commands:
            raise ValueError("a fix does something: expected files or commands")
        if self.when == BEFORE_BOOT and (self.commands or self.reboot):
            raise ValueError("nothing is run in a disk: expected files alone before-boot")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The image of one cell.  ``boot`` and ``fixes`` are names in the same file."""

    cell: str
    provenance: str
    format: str
    boot: str
    end_of_life: str  # 2028-06-30, "rolling" or "unknown"
    pinned: Pinned | None = None
    latest: Latest | None = None
    fixes: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()  # fields whose content is hearsay
    notes: str = ""

    def __post_init__(self) -> None:
        found = _CELL.fullmatch(self.cell)
        if not found:
            raise ValueError(f"cell {self.cell!r} is not of the form debian-12/x86_64")
        if found[1] not in ARCHES:
            raise ValueError(
                f"cell {self.cell!r}: no architecture {found[1]!r}; known: {', '.join(ARCHES)}"
            )
        one_of("provenance", self.provenance, PROVENANCES)
        one_of("format", self.format, FORMATS)
        if self.end_of_life not in ("rolling", "unknown"):
            try:
                if not _DAY.fullmatch(self.end_of_life):
                    raise ValueError("another form of ISO 8601")
                date.fromisoformat(self.end_of_life)
            except ValueError:
                raise ValueError(
                    f"end_of_life {self.end_of_life!r} is not a date such as 2028-06-30,"
                    " 'rolling' or 'unknown'"
                ) from None
        if self.pinned is None and self.latest is None:
            raise ValueError("there is nothing to fetch: expected `pinned`, `latest` or both")
        for field in self.unverified:
            place, dot, _ = field.rpartition(".")
            known = [f"{place}{dot}{name}" for name in _FIELDS.get(place, ())]
            one_of("unverified", field, known or sorted(_FIELDS[""]))


# What may be hearsay: the fields of an entry and of its boot, or of a table in it.
_FIELDS = {
    "": (*Entry.__struct_fields__, *Boot.__struct_fields__),
    "boot": Boot.__struct_fields__,
    "pinned": Pinned.__struct_fields__,
    "latest": Latest.__struct_fields__,
    "latest.checksum": Checksum.__struct_fields__,
    "latest.signature": Signature.__struct_fields__,
}


def one_of(field: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{field} {value!r} is none of: {', '.join(allowed)}")


def _words(holder: msgspec.Struct, *fields: str) -> None:
    for field in fields:
        if not getattr(holder, field).strip():
            raise ValueError(f"{field} is empty: expected words")
