"""Image archives made on the spot, so that no registry is needed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass

from harness.rootless import engine
from harness.rootless.bugs.model import Case

_ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class File:
    """A member of a layer; a directory where ``name`` ends with a slash."""

    name: str
    owner: int = 0


def archive(name: str, arch: str, layers: Sequence[Sequence[File]]) -> bytes:
    """What ``docker load`` takes: an image of *layers*, from the lowest up."""
    packed = [_tar([(file, file.name.encode()) for file in layer]) for layer in layers]
    config = {
        "architecture": _ARCHES.get(arch, arch),
        "os": "linux",
        "config": {},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in packed],
        },
    }
    paths = [f"layer{number}.tar" for number in range(len(packed))]
    manifest = [{"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": paths}]
    members = list(zip(map(File, paths), packed, strict=True))
    members.append((File("config.json"), json.dumps(config).encode()))
    members.append((File("manifest.json"), json.dumps(manifest).encode()))
    return _tar(members)


def _tar(members: Sequence[tuple[File, bytes]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file, data in members:
            info = tarfile.TarInfo(file.name.rstrip("/"))
            info.uid = info.gid = file.owner
            if file.name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def load(case: Case, name: str, *layers: Sequence[File]) -> str:
    """``docker load`` of an image of *layers*: its transcript, whatever becomes of it."""
    packed = archive(name, case.facts.arch, layers)
    return engine.rootless(case.guest)("load", input=packed, check=False).transcript
