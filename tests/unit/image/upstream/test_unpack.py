"""From downloads to one qcow2, and the archives and disks that want something else."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.image.upstream import disk as disks
from harness.image.upstream.unpack import unpack

RAW = bytes(range(256)) * 2048 + bytes(1 << 19)
Member = tuple[tarfile.TarInfo, bytes]


def made(where: Path, kind: str, *options: str) -> bytes:
    """The raw disk in another format, by QEMU."""
    raw, path = where / "made.raw", where / f"made.{kind}"
    raw.write_bytes(RAW)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, *options, raw, path],
                   check=True)  # fmt: skip
    raw.unlink()
    data = path.read_bytes()
    path.unlink()
    return data


def member(name: str, data: bytes = b"", **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar(*members: Member) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def content(path: Path) -> bytes:
    raw = path.with_suffix(".raw")
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
    return raw.read_bytes()


Run = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(data: bytes, form: str, **options: int) -> Path:
        source, where = tmp_path / "source.part", tmp_path / "work"
        source.write_bytes(data)
        where.mkdir()
        return unpack(source, form, where, tmp_path / "log", **options)

    return run


def refused(run: Run, data: bytes, form: str, **options: int) -> str:
    with pytest.raises(UsageError) as caught:
        run(data, form, **options)
    assert "\n" not in caught.value.what
    return caught.value.what


def test_a_raw_disk(run: Run) -> None:
    assert content(run(RAW, "raw")) == RAW


def test_a_qcow2_stays_as_it_is(run: Run, tmp_path: Path) -> None:
    data = made(tmp_path, "qcow2")
    assert run(data, "qcow2").read_bytes() == data


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_xz(kind: str, run: Run, tmp_path: Path) -> None:
    data = RAW if kind == "raw" else made(tmp_path, "qcow2")
    packed = lzma.compress(data[:1000]) + lzma.compress(data[1000:])  # two streams, as xz -T makes
    assert content(run(packed, f"{kind}.xz")) == RAW


def test_a_raw_disk_in_a_tar(run: Run) -> None:
    packed = gzip.compress(tar(member("photon.raw", RAW)))
    assert content(run(packed, "raw.tar.gz")) == RAW


def test_a_sparse_raw_disk_in_a_tar(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "disk.raw").open("wb") as file:
        file.write(RAW)
        file.truncate(64 << 20)
    subprocess.run(["tar", "--sparse", "-czf", "d.tar.gz", "disk.raw"], cwd=tmp_path, check=True)
    path = run((tmp_path / "d.tar.gz").read_bytes(), "raw.tar.gz")
    assert content(path) == RAW + bytes((64 << 20) - len(RAW))
    assert (path.parent / "disk.plain").exists() is False


@pytest.mark.parametrize("subformat", ["fixed", "dynamic"])
def test_a_vhd_in_a_tar(subformat: str, run: Run, tmp_path: Path) -> None:
    vhd = made(tmp_path, "vpc", "-o", f"subformat={subformat},force_size=on")
    path = run(gzip.compress(tar(member("photon.vhd", vhd))), "vhd.tar.gz")
    assert content(path)[: len(RAW)] == RAW


@pytest.mark.parametrize("subformat", ["streamOptimized", "monolithicSparse"])
def test_an_ova(subformat: str, run: Run, tmp_path: Path) -> None:
    vmdk = made(tmp_path, "vmdk", "-o", f"subformat={subformat}")
    ova = tar(member("p.ovf", b"<Envelope/>"), member("p-disk1.vmdk", vmdk), member("p.mf", b""))
    assert content(run(ova, "ova")) == RAW


# archives


@pytest.mark.parametrize("name", ["../disk.raw", "/disk.raw", "a/../../disk.raw"])
def test_a_path_that_leads_out(name: str, run: Run, tmp_path: Path) -> None:
    packed = gzip.compress(tar(member(name, RAW)))
    assert "leads out of it" in refused(run, packed, "raw.tar.gz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.part", "work"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize("name", ["disk.raw", "other"])
def test_links_and_devices(kind: bytes, name: str, run: Run) -> None:
    odd = member(name, type=kind, linkname="/etc/shadow")
    packed = gzip.compress(tar(odd, member("real.raw", RAW)))
    assert "a link or a device" in refused(run, packed, "raw.tar.gz")


def test_no_disk_and_two_disks(run: Run, tmp_path: Path) -> None:
    assert "holds 0 disks" in refused(run, tar(member("readme", b"x")), "ova")
    (tmp_path / "work").rmdir()
    two = tar(member("a.vmdk", b"x"), member("b\n\x1b.vmdk", b"x"))
    said = refused(run, two, "ova")
    assert "holds 2 disks (.vmdk), not one: a.vmdk, b\\n\\x1b.vmdk" in said


def test_too_many_files(run: Run) -> None:
    many = tar(*(member(f"f{number}", b"") for number in range(100)), member("d.vmdk", b""))
    assert "holds more than 64 files" in refused(run, many, "ova")


@pytest.mark.parametrize("form", ["raw.tar.gz", "raw.xz"])
def test_a_bomb(form: str, run: Run, tmp_path: Path) -> None:
    zeros = bytes(8 << 20)
    packed = {
        "raw.xz": lambda: lzma.compress(zeros),
        "raw.tar.gz": lambda: gzip.compress(tar(member("d.raw", zeros))),
    }[form]()
    assert len(packed) < 1 << 16
    assert "unpacks to more than 1048576 bytes" in refused(run, packed, form, limit=1 << 20)
    plain = tmp_path / "work" / "disk.plain"
    assert not plain.exists() or plain.stat().st_size <= 1 << 20


def test_a_header_that_fills_the_memory(run: Run) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    packed = gzip.compress(info.tobuf(tarfile.GNU_FORMAT))
    assert "is no raw.tar.gz, or damaged" in refused(run, packed, "raw.tar.gz")


def holes_in_pax(entries: int) -> bytes:
    """A map of holes before the content, as GNU tar writes it with --sparse-version=1.0."""
    data = f"{entries}\n".encode() + b"0\n1\n" * entries
    said = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "512",
            "GNU.sparse.name": "d.raw"}  # fmt: skip
    return tar(member("d.raw", data.ljust(-(-len(data) // 512) * 512, b"\0"), pax_headers=said))


def holes_in_gnu(entries: int) -> bytes:
    """The same in headers of its own after the first, each with 21 and a word for: one more."""
    info = tarfile.TarInfo("d.raw")
    info.type = tarfile.GNUTYPE_SPARSE
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[482] = 1  # more follow
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    more = (b"%011o\0%011o\0" % (0, 1)) * 21 + b"\1"
    return bytes(head) + more.ljust(512, b"\0") * (entries // 21) + bytes(1024)


@pytest.mark.parametrize("holes", [holes_in_pax, holes_in_gnu])
def test_a_map_of_holes_that_fills_the_memory(
    holes: Callable[[int], bytes], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.image.upstream.unpack.HEADERS", 1 << 16)
    packed = gzip.compress(holes(50_000))
    assert "its headers are too large" in refused(run, packed, "raw.tar.gz")


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 19},
        {"GNU.sparse.map": "0,x", "GNU.sparse.size": "8"},
        {"size": "9" * 5000}, {"size": "-5"}, {"mtime": "never"},
    ],
    ids=str,
)  # fmt: skip
def test_headers_that_are_made_to_be_wrong(headers: dict[str, str], run: Run) -> None:
    odd = tar(member("d.vmdk", b"\xffKDMV" * 1000, pax_headers=headers))
    assert refused(run, odd, "ova").isprintable()


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_headers_that_announce_one_another(kind: bytes, run: Run) -> None:
    info = tarfile.TarInfo("x")
    info.type = kind
    chain = info.tobuf(tarfile.GNU_FORMAT) * 5000
    assert "is no ova, or damaged" in refused(run, chain + tar(member("d.vmdk", b"x")), "ova")


@pytest.mark.parametrize("form", ["qcow2", "raw", "qcow2.xz", "raw.xz", "raw.tar.gz",
                                  "vhd.tar.gz", "ova"])  # fmt: skip
@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x1f\x8b\x08rubbish", b"x" * 513])
def test_nonsense(form: str, data: bytes, run: Run) -> None:
    assert refused(run, data, form)


@pytest.mark.parametrize("form", ["qcow2.xz", "raw.tar.gz", "ova"])
def test_an_archive_that_is_cut_short(form: str, run: Run, tmp_path: Path) -> None:
    packed = {
        "qcow2.xz": lzma.compress(made(tmp_path, "qcow2")),
        "raw.tar.gz": gzip.compress(tar(member("d.raw", RAW))),
        "ova": tar(member("d.vmdk", made(tmp_path, "vmdk"))),
    }[form]
    assert "or damaged" in refused(run, packed[: len(packed) // 2], form)


# disks


def test_a_qcow2_with_a_backing_file(run: Run, tmp_path: Path) -> None:
    base, path = tmp_path / "base.raw", tmp_path / "over.qcow2"
    base.write_bytes(RAW)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, path],
                   check=True)  # fmt: skip
    assert "with a backing file: refused" in refused(run, path.read_bytes(), "qcow2")


def test_a_qcow2_with_an_external_data_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "over.qcow2"
    option = f"data_file={tmp_path / 'data'},data_file_raw=on"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", option, path, "1M"],
                   check=True)  # fmt: skip
    assert "with an external data file: refused" in refused(run, path.read_bytes(), "qcow2")


def test_a_qcow2_that_says_that_it_is_corrupt(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    disk = bytearray(path.read_bytes())
    disk[79] |= 2
    assert "that it is corrupt: refused" in refused(run, bytes(disk), "qcow2")


def test_an_encrypted_qcow2(run: Run, tmp_path: Path) -> None:
    data = bytearray(made(tmp_path, "qcow2"))
    data[32:36] = struct.pack(">I", 1)
    assert "encrypted" in refused(run, bytes(data), "qcow2")


def test_a_qcow2_of_an_enormous_disk(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "huge.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1P"], check=True)
    assert "the limit is" in refused(run, path.read_bytes(), "qcow2")


def test_a_qcow2_that_claims_to_be_raw(run: Run, tmp_path: Path) -> None:
    data = made(tmp_path, "qcow2")
    assert "is no raw disk" in refused(run, data + bytes(-len(data) % 512), "raw")


def test_a_vmdk_that_names_other_files(run: Run) -> None:
    text = b'# Disk DescriptorFile\nversion=1\nRW 1 FLAT "/etc/passwd" 0\n'.ljust(1024, b"#")
    assert "is no VMDK of one file" in refused(run, tar(member("d.vmdk", text)), "ova")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"parentCID=ffffffff", b"parentCID=00000001", "with a parent"),
        (b"# The Disk Data Base", b'parentFileNameHint="/"'[:20], "with a parent"),
        (b" SPARSE ", b" FLAT   ", "of 1 extents (FLAT)"),
    ],
)
def test_a_vmdk_with_a_door(old: bytes, new: bytes, said: str, run: Run, tmp_path: Path) -> None:
    vmdk = made(tmp_path, "vmdk", "-o", "subformat=monolithicSparse")
    assert old in vmdk
    changed = vmdk.replace(old, new, 1)
    assert said in refused(run, tar(member("d.vmdk", changed)), "ova")


@pytest.mark.parametrize(("at", "value"), [(12, 0), (28, 9)])
def test_a_vmdk_whose_header_points_elsewhere(
    at: int, value: int, run: Run, tmp_path: Path
) -> None:
    vmdk = bytearray(made(tmp_path, "vmdk", "-o", "subformat=monolithicSparse"))
    vmdk[at : at + 8] = struct.pack("<Q", value)
    said = refused(run, tar(member("d.vmdk", bytes(vmdk))), "ova")
    assert "without a disk of its own" in said


def test_a_vmdk_of_empty_lines(tmp_path: Path) -> None:
    """As many as a description may have: with each read to the last one, a matter of hours."""
    head = struct.pack("<4sIIQQQQ", b"KDMV", 1, 0, 2048, 128, 1, disks.DESCRIPTOR // 512)
    (tmp_path / "d").write_bytes(head.ljust(512, b"\0") + b"\n" * disks.DESCRIPTOR)
    with pytest.raises(UsageError, match="of 0 extents"):
        disks.check(tmp_path / "d", "vmdk")


def test_a_vhd_with_a_parent(run: Run, tmp_path: Path) -> None:
    vhd = bytearray(made(tmp_path, "vpc", "-o", "force_size=on"))
    vhd[-512 + 60 : -512 + 64] = struct.pack(">I", 4)
    said = refused(run, gzip.compress(tar(member("d.vhd", bytes(vhd)))), "vhd.tar.gz")
    assert "of kind 4, not fixed or dynamic" in said


@pytest.mark.parametrize("kind", ["qcow2", "raw", "vmdk", "vpc"])
@pytest.mark.parametrize("size", [0, 3, 100])
def test_a_header_that_is_cut_short(kind: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_bytes((b"QFI\xfb" if kind == "qcow2" else b"KDMV")[:size].ljust(size, b"\0"))
    with pytest.raises(UsageError, match=r"^d is no"):
        disks.check(path, kind)
