"""The catalogue of the project, and every way in which a catalogue can be broken."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.distros.registry import all_distros
from harness.errors import UsageError
from harness.image.upstream import catalogue
from harness.image.upstream.schema import Boot, Checksum, Entry, Fix, Key, Latest, Pinned, Signature
from tests.unit.image.upstream.toml import dump

SHA = "sha256:" + "0" * 64
FULL: dict[str, Any] = {
    "distro": "toy",
    "title": "Toy",
    "keys": {"k": {"fingerprint": "A" * 40, "owner": "me", "obtain": "ask", "signing": "B" * 40,
                   "shipped": False}},
    "boot": {
        "b": {
            "firmware": ["bios"], "disk": "virtio", "seed": "sata", "nic": "virtio",
            "root": "ext4", "console": "ttyS0", "user": "toy", "datasources": ["NoCloud"],
            "edk2_before": "202211",
        }
    },
    "fixes": {
        "f": {
            "why": "it is old", "when": "first-boot", "commands": ["true"], "reboot": True,
            "files": [{"path": "/etc/x", "content": "y", "mode": "0644", "link": ""}],
        }
    },
    "image": [
        {
            "cell": "toy-1/x86_64", "provenance": "official", "format": "qcow2", "boot": "b",
            "end_of_life": "2030-01-01", "fixes": ["f"], "unverified": ["boot"], "notes": "n",
            "pinned": {
                "url": "https://h.example/d", "digest": SHA, "size": 1,
                "mirrors": ["http://m.example/d"],
            },
            "latest": {
                "url": "https://h.example/l",
                "checksum": {"url": "https://h.example/s", "name": "l*"},
                "signature": {
                    "url": "https://h.example/a", "key": "k", "over": "checksum",
                    "form": "detached",
                },
                "mirrors": ["https://m.example/l"],
            },
        }
    ],
}  # fmt: skip
Path_ = tuple[str | int, ...]


def leaves(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        yield path
        for number, item in enumerate(value):
            yield from leaves(item, (*path, number))
    else:
        yield path


def at(doc: Any, path: Path_) -> Any:
    for step in path:
        doc = doc[step]
    return doc


def changed(path: Path_, value: Any) -> dict[str, Any]:
    doc = copy.deepcopy(FULL)
    at(doc, path[:-1])[path[-1]] = value
    return doc


def without(path: Path_) -> dict[str, Any]:
    doc = copy.deepcopy(FULL)
    del at(doc, path[:-1])[path[-1]]
    return doc


def refusal(tmp_path: Path, text: str | bytes, name: str = "toy") -> str:
    path = tmp_path / f"{name}.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UsageError) as caught:
        catalogue.load_all(tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{path}: "), said
    assert said.isprintable(), said
    return said.removeprefix(f"{path}: ")


def field(path: Path_) -> str:
    return next(str(step) for step in reversed(path) if isinstance(step, str))


def test_the_example_is_well_formed_and_complete(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(dump(FULL))
    (upstream,) = catalogue.load_all(tmp_path).values()
    assert upstream.cell == "toy-1/x86_64"
    assert upstream.key is not None
    image = FULL["image"][0]
    for kind, example in (
        (Key, FULL["keys"]["k"]), (Boot, FULL["boot"]["b"]), (Fix, FULL["fixes"]["f"]),
        (Entry, image), (Pinned, image["pinned"]), (Latest, image["latest"]),
        (Checksum, image["latest"]["checksum"]), (Signature, image["latest"]["signature"]),
    ):  # fmt: skip
        assert set(example) == set(kind.__struct_fields__), kind


@pytest.mark.parametrize("path", list(leaves(FULL)), ids=str)
def test_a_field_of_the_wrong_type(path: Path_, tmp_path: Path) -> None:
    said = refusal(tmp_path, dump(changed(path, {"of": "another type"})))
    assert field(path) in said
    assert "xpected" in said


TABLES: list[Path_] = [
    ("keys",), ("boot",), ("fixes",), ("image",), ("keys", "k"), ("boot", "b"), ("fixes", "f"),
    ("image", 0), ("image", 0, "pinned"), ("image", 0, "latest"),
    ("image", 0, "latest", "checksum"), ("image", 0, "latest", "signature"),
]  # fmt: skip


@pytest.mark.parametrize("path", TABLES, ids=str)
def test_a_table_that_is_none(path: Path_, tmp_path: Path) -> None:
    said = refusal(tmp_path, dump(changed(path, 7)))
    assert field(path) in said
    assert "xpected" in said


@pytest.mark.parametrize(
    "path", [(), *(p for p in TABLES if isinstance(at(FULL, p), dict) and len(p) > 1)], ids=str
)
def test_an_unknown_field(path: Path_, tmp_path: Path) -> None:
    said = refusal(tmp_path, dump(changed((*path, "shoe"), 1)))
    assert "unknown field `shoe`" in said
    names = at(FULL, path) if path else FULL
    assert set(said.rpartition("expected")[2].strip(": ").split(", ")) == set(names)


def required() -> Iterator[Path_]:
    for kind, path in (
        (Key, ("keys", "k")), (Boot, ("boot", "b")), (Fix, ("fixes", "f")),
        (Entry, ("image", 0)), (Pinned, ("image", 0, "pinned")), (Latest, ("image", 0, "latest")),
        (Checksum, ("image", 0, "latest", "checksum")),
        (Signature, ("image", 0, "latest", "signature")),
    ):  # fmt: skip
        for one in msgspec.structs.fields(kind):
            if one.required:
                yield (*path, one.name)
    yield from (("distro",), ("image",), ("keys", "k"), ("boot", "b"), ("fixes", "f"))


@pytest.mark.parametrize("path", list(required()), ids=str)
def test_a_missing_field(path: Path_, tmp_path: Path) -> None:
    assert field(path) in refusal(tmp_path, dump(without(path)))


IMAGE, LATEST, PINNED = ("image", 0), ("image", 0, "latest"), ("image", 0, "pinned")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("distro",), "other", "distro is other; call it other.toml"),
        (("image",), [], "expected at least one [[image]]"),
        (("keys", "k", "fingerprint"), "A" * 16, "'AAAAAAAAAAAAAAAA' is not a full fingerprint"),
        (("keys", "k", "signing"), "a" * 40, "not a full fingerprint"),
        (("keys", "k", "owner"), " ", "owner is empty"),
        (("boot", "b", "firmware"), ["coreboot"], "firmware 'coreboot' is none of: bios, uefi"),
        (("boot", "b", "firmware"), [], "firmware is empty"),
        (("boot", "b", "edk2_before"), "2022.11", "edk2_before '2022.11' is no release such as"),
        (("boot", "b", "edk2_before"), "000000", "edk2_before '000000' is no release such as"),
        (("boot", "b", "console"), "tty0", "console 'tty0' is neither"),
        (("boot", "b", "console"), "ttyS999999", "console 'ttyS999999' is neither"),
        (("boot", "b", "datasources"), ["none", "NoCloud"], "datasources has 'none' and others"),
        (("boot", "b", "disk"), "ide", "disk 'ide' is none of: virtio, sata, nvme"),
        (("boot", "b", "seed"), "floppy", "seed 'floppy' is none of"),
        (("boot", "b", "nic"), "ne2k", "nic 'ne2k' is none of"),
        (("boot", "b", "root"), "zfs", "root 'zfs' is none of"),
        (("boot", "b", "console"), "/dev/ttyS0", "console '/dev/ttyS0' is neither"),
        (("boot", "b", "datasources"), ["Nebula"], "datasources 'Nebula' is none of"),
        (("boot", "b", "user"), "", "user '' is no name of a user"),
        (("boot", "b", "user"), "a\nb", "user 'a\\nb' is no name of a user"),
        (("fixes", "f", "when"), "never", "when 'never' is none of"),
        (("fixes", "f"), {"why": "w", "when": "first-boot"}, "expected files or commands"),
        (("fixes", "f", "when"), "before-boot", "nothing is run in a disk: expected files alone"),
        (("fixes", "f", "files", 0, "path"), "etc", "path 'etc' is not absolute"),
        (("fixes", "f", "files", 0, "content"), "a\0", "content or link holds what no file does"),
        (("fixes", "f", "files", 0, "link"), "a\n", "content or link holds what no file does"),
        (("fixes", "f", "files", 0, "link"), "a", "a link has neither content nor mode"),
        ((*IMAGE, "cell"), "toy-1..2/x86_64", "cell 'toy-1..2/x86_64' is not of the form"),
        ((*IMAGE, "cell"), "toy-1-./x86_64", "cell 'toy-1-./x86_64' is not of the form"),
        ((*IMAGE, "cell"), f"toy-{'1' * 300}/x86_64", "1/x86_64' is not of the form"),
        ((*IMAGE, "cell"), "toy-1", "cell 'toy-1' is not of the form"),
        ((*IMAGE, "cell"), "joy-1/x86_64", "expected a cell of toy"),
        ((*IMAGE, "provenance"), "rumour", "provenance 'rumour' is none of"),
        ((*IMAGE, "format"), "vdi", "format 'vdi' is none of"),
        ((*IMAGE, "boot"), "c", "there is no [boot.c]: expected one of: b"),
        ((*IMAGE, "fixes"), ["g"], "there is no [fixes.g]: expected one of: f"),
        ((*IMAGE, "cell"), "toy-../x86_64", "cell 'toy-../x86_64' is not of the form"),
        ((*IMAGE, "cell"), "\x1b[31m\n", "cell '\\x1b[31m\\n' is not of the form"),
        ((*IMAGE, "end_of_life"), "soon", "end_of_life 'soon' is not a date"),
        ((*IMAGE, "end_of_life"), "0001-01-01", "end_of_life '0001-01-01' is not a date"),
        ((*IMAGE, "end_of_life"), "20300101", "end_of_life '20300101' is not a date"),
        ((*IMAGE, "end_of_life"), "2030-W01-1", "end_of_life '2030-W01-1' is not a date"),
        ((*IMAGE, "end_of_life"), "2030-02-30", "end_of_life '2030-02-30' is not a date"),
        ((*IMAGE, "unverified"), ["taste"], "unverified 'taste' is none of"),
        ((*IMAGE, "unverified"), ["boot.foo"], "unverified 'boot.foo' is none of: boot.firmware"),
        ((*IMAGE, "unverified"), ["latest.nonsense"], "'latest.nonsense' is none of: latest.url"),
        ((*IMAGE, "unverified"), ["end_of_life.x"], "'end_of_life.x' is none of: boot, cell"),
        ((*LATEST, "checksum", "name"), "a\n\x1b[31m", "name 'a\\n\\x1b[31m' is not one plain"),
        *(((*LATEST, "checksum", "name"), name, "is that of no file in the same directory")
          for name in (" ", "/", "../../etc/passwd")),
        *(((*LATEST, kind, "url"), "https://h.example/l", f"{kind}: url 'https://h.example/l' is")
          for kind in ("checksum", "signature")),
        *(((*PINNED, "url"), f"https://{host}/d", "names no host that there can be")
          for host in ("*", "..", "%20", "h..example", "h\u00e4.example")),
        ((*PINNED, "url"), "https://@h.example/d", "holds a password"),
        *(((*PINNED, "url"), f"https://h.example/{one}d", "holds what a URL has to write with %")
          for one in "\x85\u202e\u00e4"),
        ((*PINNED, "url"), "https://h.example/..", "names no file"),
        ((*PINNED, "digest"), "md5:" + "0" * 32, "digest 'md5:"),
        ((*PINNED, "digest"), SHA.upper(), "is not sha256: and 64"),
        ((*PINNED, "size"), 0, "size 0 is not a number of bytes from 1 to"),
        ((*PINNED, "size"), 10**30, "is not a number of bytes from 1 to 17179869184 (16 GiB)"),
        ((*PINNED, "url"), "ftp://h.example/d", "not of the form https://host/path"),
        ((*PINNED, "url"), "https://u:p@h.example/d", "holds a password"),
        ((*PINNED, "url"), "https://h.example/a b", "holds a space"),
        ((*PINNED, "url"), "https://h.example:port/", "malformed"),
        ((*PINNED, "url"), "https://h.example:0/d", "not of the form"),
        ((*PINNED, "url"), "https://h.example/", "names no file: expected https://host/path/file"),
        ((*PINNED, "url"), "https://h.example/d#x", "holds a fragment (#)"),
        ((*PINNED, "mirrors"), ["https://"], "not of the form"),
        ((*LATEST, "url"), "http://h.example/l", "http without a pinned digest: expected https"),
        ((*LATEST, "mirrors"), ["http://h.example/l"], "http without a pinned digest"),
        ((*LATEST, "checksum", "url"), "http://h.example/l", "http without a pinned digest"),
        ((*LATEST, "signature", "url"), "http://h.example/l", "http without a pinned digest"),
        ((*LATEST, "signature", "key"), "l", "there is no [keys.l]: expected one of: k"),
        ((*LATEST, "signature", "over"), "all", "over 'all' is none of: checksum, image"),
        ((*LATEST, "signature", "form"), "pem", "form 'pem' is none of: detached, clearsigned"),
    ],
)
def test_a_field_that_makes_no_sense(path: Path_, value: Any, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, dump(changed(path, value)))


def test_a_mistake_is_a_short_line_whatever_is_quoted(tmp_path: Path) -> None:
    said = refusal(tmp_path, dump(changed((*IMAGE, "provenance"), "x" * 70_000)))
    assert said.startswith("toy-1/x86_64: provenance 'xxx")
    assert said.endswith("is none of: official, community, self-built")
    assert len(said) < 1100


def test_a_mistake_names_the_cell_it_is_in(tmp_path: Path) -> None:
    said = refusal(tmp_path, dump(changed((*PINNED, "url"), 3)))
    assert said == "toy-1/x86_64: Expected `str`, got `int` - at `$.pinned.url`"


def test_combinations_that_make_no_sense(tmp_path: Path) -> None:
    nothing = {k: v for k, v in FULL["image"][0].items() if k not in ("pinned", "latest")}
    assert "nothing to fetch" in refusal(tmp_path, dump({**FULL, "image": [nothing]}))
    unsummed = dump(without((*LATEST, "checksum")))
    assert "expected the field `checksum`" in refusal(tmp_path, unsummed)
    both = changed((*LATEST, "signature", "over"), "image")
    at(both, (*LATEST, "signature"))["form"] = "clearsigned"
    assert "form 'clearsigned' is for a checksum file" in refusal(tmp_path, dump(both))
    assert "there are two of it" in refusal(tmp_path, dump({**FULL, "image": FULL["image"] * 2}))


BOOT = ("boot", "b")
BEFORE = {"why": "w", "when": "before-boot"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({(*IMAGE, "cell"): "toy-1/aarch64"}, "firmware 'bios' is of x86_64 alone: no machine of"),
        ({(*BOOT, "root"): "xfs", ("fixes", "f"): {**BEFORE, "files": [{"path": "/etc/x"}]}},
         "/etc/x cannot be put into a root of xfs before-boot"),
        ({("fixes", "f"): {**BEFORE, "files": [{"path": "/etc/a b"}]}},
         "'/etc/a b' cannot be written by debugfs"),
        ({("fixes", "f"): {**BEFORE, "files": [{"path": "/etc/a", "link": "b c"}]}},
         "'/etc/a' cannot be written by debugfs"),
        ({(*BOOT, "datasources"): ["Ec2"]}, "datasources has no NoCloud"),
        ({(*BOOT, "datasources"): ["none"],
          ("fixes", "f"): {**BEFORE, "files": [{"path": "/etc/x", "content": "Ec2"}]}},
         "datasources has no NoCloud"),
        ({(*PINNED, "url"): "https://h.example/d.ova"},
         "format is qcow2, and the url https://h.example/d.ova ends in .ova"),
        ({(*IMAGE, "format"): "ova", (*LATEST, "url"): "https://h.example/d.qcow2"},
         "format is ova, and the url https://h.example/d.qcow2 ends in .qcow2"),
        ({(*PINNED, "mirrors"): ["https://h.example/d.qcow2.xz"]}, "ends in .qcow2.xz"),
        *(({(*PINNED, "url"): f"https://h.example/d.{ending}"}, f"ends in .{last}")
          for ending, last in (("img.gz", "gz"), ("tar.xz", "xz"), ("zip", "zip"),
                               ("vmdk", "vmdk"), ("qcow2.sha256", "sha256"))),
        ({(*PINNED, "url"): "https://h.example/d-arm64.qcow2"},
         "d-arm64.qcow2 is of another architecture by its name: arm64"),
        ({(*PINNED, "url"): "https://h.example/d.x86_64.img", (*BOOT, "firmware"): ["uefi"],
          (*IMAGE, "cell"): "toy-1/aarch64"}, "is of another architecture by its name: x86_64"),
        ({(*BOOT, "firmware"): ["bios", "bios"]}, "firmware: 'bios' is there twice"),
        ({(*BOOT, "datasources"): ["NoCloud"] * 2}, "datasources: 'NoCloud' is there twice"),
        ({(*IMAGE, "fixes"): ["f", "f"]}, "fixes: 'f' is there twice"),
        ({(*IMAGE, "unverified"): ["boot", "boot"]}, "unverified: 'boot' is there twice"),
        ({(*PINNED, "mirrors"): ["https://h.example/d"]},
         "mirrors: 'https://h.example/d' is there twice"),
        ({(*LATEST, "mirrors"): ["https://h.example/l"]},
         "mirrors: 'https://h.example/l' is there twice"),
        ({("keys", "other"): FULL["keys"]["k"]}, "[keys.other] is used by no image"),
        ({("boot", "other"): FULL["boot"]["b"]}, "[boot.other] is used by no image"),
        ({("fixes", "other"): FULL["fixes"]["f"]}, "[fixes.other] is used by no image"),
    ],
    ids=str,
)
def test_what_does_not_fit_together(
    changes: dict[Path_, Any], said: str, tmp_path: Path
) -> None:
    doc = copy.deepcopy(FULL)
    for path, value in changes.items():
        at(doc, path[:-1])[path[-1]] = value
    assert said in refusal(tmp_path, dump(doc))


@pytest.mark.parametrize(
    "changes",
    [
        {(*BOOT, "datasources"): ["Ec2"],
         ("fixes", "f"): {**BEFORE, "files": [{"path": "/x", "content": "list: [NoCloud]"}]}},
        {(*BOOT, "datasources"): ["none"], (*IMAGE, "format"): "iso"},
        {(*BOOT, "firmware"): ["uefi"], (*IMAGE, "cell"): "toy-1/aarch64"},
        {(*BOOT, "firmware"): ["uefi"], (*IMAGE, "cell"): "toy-1/s390x"},
        {("fixes", "f", "files", 0, "path"): "/etc/a b"},
        {(*PINNED, "url"): "https://h.example/d.img"},
        {(*PINNED, "url"): "https://[::1]/d_amd64.qcow2"},
        {(*PINNED, "url"): "https://h.example/d.img.xz", (*IMAGE, "format"): "raw.xz"},
        {(*PINNED, "url"): "https://h.example/d.tar.gz", (*IMAGE, "format"): "raw.tar.gz"},
        {(*IMAGE, "unverified"): ["console", "boot.console", "latest.checksum", "pinned.size",
                                  "latest.signature.key"]},
    ],
    ids=str,
)
def test_what_may_be(changes: dict[Path_, Any], tmp_path: Path) -> None:
    doc = copy.deepcopy(FULL)
    for path, value in changes.items():
        at(doc, path[:-1])[path[-1]] = value
    (tmp_path / "toy.toml").write_text(dump(doc))
    assert len(catalogue.load_all(tmp_path)) == 1


def test_one_distro_is_in_one_file(tmp_path: Path) -> None:
    """``toy-one`` would have cells that the file of ``toy`` may have as well."""
    said = refusal(tmp_path, dump(changed(("distro",), "toy-one")), "toy-one")
    assert said == "distro 'toy-one' is not of the form debian: a-z and 0-9"


@pytest.mark.parametrize("text", ["= toy", b"\xff\xfe", 'distro = "toy'])
def test_what_is_not_toml(text: str | bytes, tmp_path: Path) -> None:
    assert "not valid TOML" in refusal(tmp_path, text)


def test_an_unknown_cell_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(dump(FULL))
    with pytest.raises(UsageError, match="no image for 'toy-2/x86_64'; the nearest: toy-1/x86_64"):
        catalogue.select(("toy-2/x86_64",), tmp_path)


def test_the_hash_changes_with_what_is_fetched_and_nothing_else(tmp_path: Path) -> None:
    def of(doc: dict[str, Any]) -> str:
        (tmp_path / "toy.toml").write_text(dump(doc))
        return catalogue.load_all(tmp_path)["toy-1/x86_64"].hash()

    first = of(FULL)
    assert of(changed((*IMAGE, "notes"), "other words")) == first
    assert of(changed((*PINNED, "digest"), "sha256:" + "1" * 64)) != first
    assert of(changed((*IMAGE, "format"), "raw")) != first


# the project's own


def test_the_catalogue_of_the_project() -> None:
    known = catalogue.load_all()
    asked = {
        f"{name}/{arch}" for arch in ("x86_64", "aarch64") for name in (
            "photon-4", "debian-11", "debian-12", "debian-13", "arch-rolling",
            "opensuse-leap-15.6", "opensuse-tumbleweed", "centos-7",
        )
    }  # fmt: skip
    assert asked <= set(known)
    assert not [cell for cell in known if cell.endswith("/s390x")]


def test_releases_are_called_as_the_distros_call_them() -> None:
    """A distro that is catalogued is so under the name that it has here."""
    catalogued = {upstream.name for upstream in catalogue.load_all().values()}
    for name in {upstream.partition("-")[0] for upstream in catalogued}:
        ours = {distro.id for distro in all_distros() if distro.name == name}
        assert not ours or ours & catalogued, name


def test_what_was_not_verified_says_so() -> None:
    for cell, upstream in catalogue.load_all().items():
        if cell.startswith(("ubuntu", "alma")):
            assert "latest" in upstream.entry.unverified, cell


def test_the_first_boot_fixes_are_there() -> None:
    known = catalogue.load_all()
    hosts = [c for fix in known["photon-5/x86_64"].fixes for c in fix.commands]
    assert any("packages.broadcom.com" in command for command in hosts)
    files = [f.path for fix in known["photon-5/x86_64"].fixes for f in fix.files]
    assert "/etc/cloud/cloud.cfg.d/99-nocloud.cfg" in files
    assert "vault.centos.org" in known["centos-7/aarch64"].fixes[0].commands[0]
    assert "kernel-default" in known["opensuse-tumbleweed/aarch64"].fixes[0].commands[0]
    assert "pacman-key --populate" in known["arch-rolling/x86_64"].fixes[0].commands


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("init=/lib/systemd/systemd rw systemd.show_status=0 quiet noreplace-smp",
         "init=/lib/systemd/systemd rw systemd.show_status=0 noreplace-smp"),
        ("init=/lib/systemd/systemd ro loglevel=3 quiet", "init=/lib/systemd/systemd ro"),
    ],
    ids=["linux-esx", "linux"],
)
def test_photon_gets_a_serial_console(before: str, after: str, tmp_path: Path) -> None:
    """The file as both kernels write it, behind the link that it is."""
    text = "# GRUB Environment Block\nphoton_cmdline={}\nphoton_linux=vmlinuz-5.10\n"
    file, link = tmp_path / "linux.cfg", tmp_path / "photon.cfg"
    file.write_text(text.format(before))
    link.symlink_to(file.name)
    fixes = catalogue.load_all()["photon-4/x86_64"].fixes
    (line,) = [line for fix in fixes for line in fix.commands if "/boot/photon.cfg" in line]
    run = ["sh", "-c", line.replace("/boot/photon.cfg", str(link))]
    subprocess.run(run, check=True)
    assert link.is_symlink()
    assert file.read_text() == text.format(f"{after} console=tty0 console=ttyS0")
    file.write_text("photon_linux=vmlinuz-5.10\n")
    assert subprocess.run(run, check=False).returncode != 0


def test_a_new_kernel_is_booted_before_anything_needs_its_modules() -> None:
    for cell, upstream in catalogue.load_all().items():
        for fix in upstream.fixes:
            new = any("pacman -Su" in line or "kernel" in line for line in fix.commands)
            assert fix.reboot or not new, cell


def test_packages_are_in_no_archive_but_where_a_fix_says() -> None:
    """What the documents install and a distro's own archive does not have."""
    known = catalogue.load_all()
    for name, archive in (
        ("centos-7", "download.docker.com"), ("ubuntu-24.04", "download.docker.com"),
        ("arch-rolling", "aur.archlinux.org"),
    ):  # fmt: skip
        for arch in ("x86_64", "aarch64"):
            fixes = known[f"{name}/{arch}"].fixes
            given = [line for fix in fixes for line in fix.commands]
            given += [file.content for fix in fixes for file in fix.files]
            assert any(archive in line for line in given), name
