"""RPM packages and their repository, by rpmbuild and createrepo_c.  Needs no privilege."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness.image import process
from harness.image.twins.package import Package, entries

TOOLS = ("rpmbuild", "createrepo_c")
# Nothing is stripped, compressed or guessed: the files are another distro's, and stay as they
# are.  gzip is read by every rpm.
_DEFINES = {
    "__os_install_post": "%{nil}", "debug_package": "%{nil}", "_build_id_links": "none",
    "_binary_payload": "w1.gzdio", "_build_name_fmt": "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
    "_buildhost": "localhost", "use_source_date_epoch_as_buildtime": "1",
}  # fmt: skip


def build(packages: Iterable[Package], out: Path, log: Path) -> None:
    """Leave the packages and the repository's index in *out*."""
    process.need(*TOOLS)
    out.mkdir(parents=True, exist_ok=True)
    work = out / ".rpmbuild"
    work.mkdir()
    for package in packages:
        path = work / f"{package.name}.spec"
        path.write_text(spec(package))
        defines = {**_DEFINES, "_topdir": str(work), "_rpmdir": str(out)}
        words = [word for key, value in defines.items() for word in ("--define", f"{key} {value}")]
        process.run(["rpmbuild", "-bb", "--quiet", f"--target={package.arch}", *words, str(path)],
                    log)  # fmt: skip
    shutil.rmtree(work)
    process.run(["createrepo_c", "--quiet", "--no-database", str(out)], log)


def spec(package: Package) -> str:
    lines = [
        f"Name: {package.name}", f"Version: {package.version}", f"Release: {package.release}",
        f"Summary: {package.summary}", "License: as in Debian", "AutoReqProv: no",
        *(f"Requires: {name}" for name in package.requires),
        *(f"Conflicts: {name}" for name in package.conflicts),
        "%description", package.summary,
        "%install", f"cp -a {shlex.quote(str(package.tree))}/. %{{buildroot}}/",
    ]  # fmt: skip
    if package.post:
        # In rpm's own Lua: a script for sh requires a package that has /bin/sh, and the base's
        # is in none.
        body = package.post.rstrip().replace("%", "%%")
        lines += ["%post -p <lua>", f"os.execute([==[{body}]==])"]
    lines.append("%files")
    for entry in entries(package):
        mode = "-" if entry.link else f"{entry.mode:04o}"
        lines.append(f"%attr({mode},root,root) {entry.path}")
    return "\n".join(lines) + "\n"
