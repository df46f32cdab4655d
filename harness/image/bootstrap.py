"""How mmdebstrap is run, and its command lines: for the root of an image, or one of this machine's
architecture that carries the packages of another."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from harness.image import process
from harness.image.recipe import Recipe

NOTES = "harness"  # the directory of such a root with what is not part of it
DEBS = f"{NOTES}/debs"  # in it, the packages that will be installed


def native(recipe: Recipe, arch: str, tar: Path, source: str | None) -> list[str]:
    """Everything is installed and preloaded; the programs of *arch* run here."""
    hooks = []
    if recipe.packages.preload:
        wanted = shlex.join(recipe.packages.preload)
        hooks = [
            '--customize-hook=chroot "$1" apt-get clean',  # of what is installed already
            '--customize-hook=chroot "$1" apt-get install --yes --download-only'
            f" --no-install-recommends {wanted}",
        ]
    kernel = recipe.on(arch).kernel
    return _command(recipe, arch, [*recipe.packages.include, kernel], hooks, tar, source)


def pair(recipe: Recipe, arch: str, own: str, tar: Path, source: str | None) -> list[str]:
    """The packages of *arch*, downloaded, in a root of the architecture *own* of this machine in
    which those of the same names are installed.

    Of *arch* there are: what is to be installed in ``/harness/debs``, what is preloaded in
    apt's cache, and apt's lists.  A package that *own* does not have, such as the kernel, is
    not installed; one that *arch* does not have is purged.
    """
    hook = f"--customize-hook={_pairing(recipe, arch)}"
    return _command(recipe, own, recipe.packages.include, [hook], tar, source)


def unpack(recipe: Recipe, arch: str, package: str, tar: Path, source: str | None) -> list[str]:
    """A tar of the files of one package and what it depends on; nothing of *arch* is run."""
    return [
        "mmdebstrap",
        f"--mode={_mode()}",
        "--variant=extract",
        "--format=tar",
        "--skip=check/qemu",
        f"--architectures={recipe.on(arch).debian}",
        f"--components={','.join(recipe.components)}",
        f"--include={package}",
        *(f"--aptopt={line}" for line in recipe.apt_options),
        recipe.suite,
        str(tar),
        *([source] if source else []),
    ]


def _pairing(recipe: Recipe, arch: str) -> str:
    on = recipe.on(arch)
    # What mmdebstrap installs: the essential packages, those of its variant, and the recipe's.
    wanted = shlex.join(
        ["?essential", "?priority(required)", "apt", *recipe.packages.include, on.kernel]
    )
    return f"""
set -eu
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true LC_ALL=C.UTF-8
root=$1 notes=$1/{NOTES}
mkdir -p "$notes/lists" "$notes/archives/partial" "$1/{DEBS}"
: >"$notes/status"
own() {{ chroot "$root" apt-get --yes --no-install-recommends "$@"; }}
other() {{
    own --option APT::Architecture={on.debian} --option APT::Architectures={on.debian} \\
        --option Dir::State::Lists=/{NOTES}/lists --option Dir::State::Status=/{NOTES}/status \\
        --option Dir::Cache::Archives=/{NOTES}/archives "$@"
}}
other update
other install --download-only {wanted}
(cd "$notes/archives" && ls | grep '[.]deb$') >"$notes/wanted"
other install --download-only {wanted} {shlex.join(recipe.packages.preload)}

cut -d _ -f 1 "$notes/wanted" | sort >"$notes/there"
names() {{ chroot "$root" dpkg-query --show --showformat '${{Package}}\\n' | sort; }}
names >"$notes/here"
missing=$(comm -13 "$notes/here" "$notes/there")
known=$(chroot "$root" apt-cache show $missing 2>/dev/null | sed -n 's/^Package: //p' | sort -u)
own install $known
chroot "$root" apt-mark auto $known
names >"$notes/here"
more=$(comm -23 "$notes/here" "$notes/there")
[ -z "$more" ] || chroot "$root" dpkg --purge --force-depends --force-remove-essential $more

own clean
(cd "$notes/archives" && xargs mv -t "$root/{DEBS}") <"$notes/wanted"
find "$notes/archives" -name '*.deb' -exec mv -t "$root/var/cache/apt/archives" {{}} +
rm -r "$root/var/lib/apt/lists"
mv "$notes/lists" "$root/var/lib/apt/lists"
"""


def _command(
    recipe: Recipe, arch: str, include: list[str] | tuple[str, ...], hooks: list[str], tar: Path,
    source: str | None,
) -> list[str]:  # fmt: skip
    return [
        "mmdebstrap",
        f"--mode={_mode()}",
        "--variant=minbase",
        "--format=tar",
        f"--architectures={recipe.on(arch).debian}",
        f"--components={','.join(recipe.components)}",
        f"--include={','.join(include)}",
        '--aptopt=APT::Install-Recommends "false"',
        "--skip=cleanup/apt",
        *(f"--aptopt={line}" for line in recipe.apt_options),
        *hooks,
        recipe.suite,
        str(tar),
        *([source] if source else []),
    ]


def _mode() -> str:
    return "root" if os.geteuid() == 0 else "unshare"


def run(command: list[str], log: Path) -> None:
    """Run mmdebstrap, and leave nothing of it but what it was to write.

    As root it mounts into the tree that it makes, and once it is killed it neither unmounts that
    nor can remove the tree: so the mounts are of a namespace that ends with it, and the tree is
    removed here.  As an ordinary user it has a namespace of its own, and its files are of users
    that only it can remove them as.
    """
    # /tmp may be memory, and a mapped user or apt's must be able to reach it, which rules a home
    # directory out.
    scratch = os.environ.get("TMPDIR", "/var/tmp")
    if os.geteuid():
        process.run(command, log, {"TMPDIR": scratch})
        return
    inner = Path(tempfile.mkdtemp(prefix="rootless-harness-", dir=scratch))
    inner.chmod(0o755)
    try:
        process.run(command, log, {"TMPDIR": str(inner)}, within=_own_mounts())
    finally:
        process.delete(inner)


def _own_mounts() -> list[str]:
    """A mount namespace, unless root may have none: then it may not mount either."""
    unshare = ["unshare", "--mount", "--propagation", "private", "--"]
    tried = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    return [] if tried.returncode else unshare
