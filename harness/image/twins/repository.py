"""A twin's repository: built once of the base's binaries, kept, and copied into guests as a tar."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from harness.errors import TestbedError
from harness.image import process, store
from harness.image.model import Image
from harness.image.twins import deb, debs, pacman, rpm, schema
from harness.image.twins.cached import TAR, VERSIONS, touch
from harness.image.twins.debs import Deb
from harness.image.twins.package import Package
from harness.image.twins.schema import Part, Take, Twin, TwinPackage

Progress = Callable[[str], None]
ARCH = "x86_64"
SCHEMA = 1  # raise it when the builder would make something else of the same definition
NAME = "twin"  # of the repository, in the guest
LOG = "build.log"


@dataclass(frozen=True)
class Built:
    """``versions``: package to version and release, as the guest's manager gives them."""

    tar: Path
    key: str
    versions: dict[str, str]


def missing_tools(twin: Twin) -> list[str]:
    """What this machine lacks to build the repository, by the names of the programs."""
    wanted = (*debs.TOOLS, *(rpm.TOOLS if twin.repository.format == "rpm" else ()))
    return [tool for tool in wanted if process.find(tool) is None]


def key(twin: Twin, image: Image) -> str:
    """Changes whenever anything that the repository is made of does."""
    known = schema.parts()
    used = {part: known[part] for package in twin.package for part in package.parts}
    made_of = [SCHEMA, image.digest, twin.repository, twin.package, used]
    text = msgspec.json.encode(made_of, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:24]


def ensure(twin: Twin, image: Image, cache: Path, progress: Progress) -> Built:
    """The repository of *twin*, from the packages that *image*, of its base, holds."""
    name = key(twin, image)
    target = cache / f"{twin.name}-{name}"
    with store.locked(target, progress):
        if not (target / VERSIONS).exists():
            progress(f"{twin.name}: making the twin's packages of {image.cell}'s")
            _build(twin, image, target)
        touch(target)
    return Built(target / TAR, name, msgspec.json.decode((target / VERSIONS).read_bytes()))


def _build(twin: Twin, image: Image, target: Path) -> None:
    """In a directory of its own beside *target*, which appears when all is there."""
    work = Path(tempfile.mkdtemp(prefix=f".building-{target.name}-", dir=target.parent))
    try:
        log = work / LOG
        found = debs.unpack(image.path, work, log)
        packages = stage(twin, schema.parts(), found, work / "trees")
        out = work / "out"
        if twin.repository.format == "rpm":
            rpm.build(packages, out, log)
        elif twin.repository.format == "deb":
            deb.build(packages, out, log)
        else:
            pacman.build(packages, out, NAME)
        ready = work / "ready"
        ready.mkdir()
        with tarfile.open(ready / TAR, "w") as tar:
            tar.add(out, ".", filter=_roots)
        versions = {package.name: f"{package.version}-{package.release}" for package in packages}
        (ready / VERSIONS).write_bytes(msgspec.json.encode(versions))
        shutil.move(log, ready / LOG)
        store.discard(target)
        ready.rename(target)
    except OSError as error:
        raise TestbedError(f"the packages of {twin.name} could not be made: {error}",
                           hint="free some space in the cache directory") from error  # fmt: skip
    finally:
        process.delete(work)


def _roots(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def stage(twin: Twin, parts: dict[str, Part], found: dict[str, Deb], where: Path) -> list[Package]:
    """Lay out the tree of each package below *where*."""
    return [_stage(twin, package, parts, found, where) for package in twin.package]


def _stage(
    twin: Twin, package: TwinPackage, parts: dict[str, Part], found: dict[str, Deb], where: Path
) -> Package:
    if package.version_of and package.version_of not in found:
        raise TestbedError(f"{twin.name}: {package.name} is to have the version of "
                           f"{package.version_of}, which {twin.base} does not hold")  # fmt: skip
    version = debs.upstream(found[package.version_of].version) if package.version_of else "0"
    tree = where / package.name
    tree.mkdir(parents=True)
    post: list[str] = []
    for name in package.parts:
        part = parts[name]
        for take in part.take:
            if not _take(take, found, tree) and not take.optional:
                raise TestbedError(
                    f"{twin.name}: nothing for {package.name} in {', '.join(take.debs)}: "
                    f"{', '.join(take.paths)}",
                    hint=f"look at part {name} of images/twins/{schema.PARTS}.toml",
                )
        for file in part.files:
            path = tree / file.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.content)
            path.chmod(int(file.mode, 8))
        post += [line for line in part.post if line not in post]
    return Package(
        name=package.name, version=version,
        release=twin.repository.release, arch=ARCH, summary=package.summary, tree=tree,
        requires=package.requires, conflicts=package.conflicts, post="\n".join(post),
    )  # fmt: skip


def _take(take: Take, found: dict[str, Deb], tree: Path) -> int:
    """Copy what *take* names; how many files that were."""
    count = 0
    for one in debs.matching(found, take.debs):
        for path, now in one.files():
            if not any(fnmatchcase(path, glob) for glob in take.paths):
                continue
            count += 1
            target = take.to or path
            if target.endswith("/"):
                target += Path(path).name
            _copy(now, tree / target.lstrip("/"), take.replace)
    return count


def _copy(source: Path, target: Path, replace: dict[str, str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    if replace and not target.is_symlink():
        text = target.read_text("utf-8")
        for old, new in replace.items():
            text = text.replace(old, new)
        target.write_text(text)
