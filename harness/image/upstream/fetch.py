"""An upstream image into the cache: downloaded, verified, unpacked, recorded.  Once, however many
ask: the lock and the cache are those of built images."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout

from harness.errors import HarnessError, TestbedError, UsageError
from harness.image import debian, process, record, store
from harness.image.model import Hardware, Image, Origin
from harness.image.record import Corrupt
from harness.image.upstream import checksums, fixes, trust
from harness.image.upstream.answers import Gone
from harness.image.upstream.catalogue import Upstream
from harness.image.upstream.download import Wanted, discard, download, move
from harness.image.upstream.progress import Say
from harness.image.upstream.schema import Pinned
from harness.image.upstream.trust import Expected
from harness.image.upstream.unpack import PLAIN, unpack
from harness.image.upstream.web import Web
from harness.paths import writing

PARTS = ".downloads"
FORGOTTEN = 14 * 86_400.0  # seconds after which a part that nobody went on with is removed


@dataclass(frozen=True)
class Options:
    """``trust`` is one of :data:`.trust.LEVELS`; ``latest`` passes over the pin; ``force``
    fetches what is there already; ``keys`` is the directory of keys."""

    trust: str = "signature"
    offline: bool = False
    latest: bool = False
    force: bool = False
    keys: Path | None = None
    web: Web = field(default_factory=Web)


def place(upstream: Upstream, cache: Path) -> Path:
    """Where the image is, or would be."""
    return cache / f"{upstream.name}_{upstream.arch}-{upstream.hash()[:12]}"


def cached(upstream: Upstream, cache: Path, *, full: bool = False) -> Image | None:
    """The image of the entry, if the cache holds it undamaged; ``full`` reads every byte."""
    try:
        return _as_catalogued(record.load(place(upstream, cache), full=full), upstream)
    except Corrupt:
        return None


def _as_catalogued(image: Image | None, upstream: Upstream) -> Image | None:
    """With what the catalogue says today: it may have learned since the image came."""
    boot = upstream.boot
    return image and replace(
        image, firmware=boot.firmware, hardware=Hardware(boot.disk, boot.seed, boot.nic),
        fixes=fixes.in_guest(upstream.fixes),
    )  # fmt: skip


def fetch(upstream: Upstream, cache: Path, say: Say, options: Options) -> Image:
    """The image of the entry, from ``cache`` if it is there.

    Nothing that was not verified is opened, and nothing is kept of a failure but the beginning
    of a download that another call can go on with.
    """
    target = place(upstream, cache)
    if image := _asked_for(upstream, cache, options):
        return image
    if why := upstream.fetchable:
        raise UsageError(f"{upstream.cell}: {why}", command="harness matrix")
    if options.offline:
        raise UsageError(
            f"{upstream.cell}: the {'latest ' if options.latest else ''}image is not in {cache},"
            " and --offline forbids to fetch it",
            command=f"harness image fetch {upstream.cell}",
        )
    with store.locked(target, say, "fetched"):
        store.sweep(target)
        if image := _asked_for(upstream, cache, options):
            return image
        return _Job(upstream, cache, say, options).run()


def _asked_for(upstream: Upstream, cache: Path, options: Options) -> Image | None:
    """The cached image, unless it is that of the pin, and the latest is asked for."""
    image = None if options.force else cached(upstream, cache)
    pinned = bool(image and image.origin and image.origin.trust == trust.PINNED)
    return None if options.latest and pinned else image


@dataclass(frozen=True)
class _Job:
    upstream: Upstream
    cache: Path
    say: Say
    options: Options

    def run(self) -> Image:
        entry = self.upstream.entry
        if entry.pinned and not self.options.latest:
            urls = [entry.pinned.url, *entry.pinned.mirrors]
            try:
                return self._get(urls, trust.pinned(self.upstream), entry.pinned)
            except Gone as exc:
                if entry.latest is None:
                    raise
                self.say(f"{self._cell}: the pin has rotted: {exc.what}; taking what is there now")
        if entry.latest is None:
            raise UsageError(f"{self._cell}: the catalogue names no latest image",
                             command=f"harness image fetch {self._cell}")  # fmt: skip
        options = self.options
        expected = trust.latest(self.upstream, options.web, options.trust, options.keys)
        if not expected.why.startswith("signed"):
            self.say(f"{self._cell}: believed without a signature ({expected.why}, --trust"
                     f" {options.trust})")  # fmt: skip
        return self._get([entry.latest.url, *entry.latest.mirrors], expected)

    @property
    def _cell(self) -> str:
        return self.upstream.cell

    def _get(self, urls: list[str], expected: Expected, pin: Pinned | None = None) -> Image:
        """The image, from the first of *urls* that has the file that was expected."""
        began = time.monotonic()
        wanted = self._wanted(urls, expected.digest, pin)
        failures: list[HarnessError] = []
        for url in urls:
            try:
                digest = self._verified(url, wanted, expected)
                break
            except HarnessError as exc:
                failures.append(exc)
                if url != urls[-1]:
                    self._tell(exc, "trying the next mirror")
        else:
            raise max(reversed(failures), key=_weight)
        origin = Origin(url, digest, expected.why, self.upstream.entry.format)
        image = self._keep(wanted.part, origin)
        took = time.monotonic() - began
        self.say(f"{self._cell}: fetched in {took:.0f} s, {digest}, {expected.why}")
        return image

    def _verified(
        self, url: str, wanted: Wanted, expected: Expected, *, last: bool = False
    ) -> str:
        """The digest of what was downloaded.  Of a wrong file nothing is kept.  One that was put
        together is asked for again, unless this is the ``last`` time."""
        joined = download(self.options.web, url, wanted, self.say)
        try:
            return self._check(wanted.part, expected, url)
        except UsageError as exc:
            discard(wanted.part)
            if last or not joined:
                raise
            self._tell(exc, "it was put together from several attempts, so once more from the"
                            " beginning")  # fmt: skip
            return self._verified(url, wanted, expected, last=True)

    def _tell(self, exc: HarnessError, then: str) -> None:
        self.say(f"{self._cell}: {exc.what.removeprefix(f'{self._cell}: ')}; {then}")

    def _wanted(self, urls: list[str], digest: str, pin: Pinned | None) -> Wanted:
        parts = self.cache / PARTS
        with writing(parts):
            parts.mkdir(exist_ok=True)
        _forget(parts)
        # Named after what is expected: the part of another file is another part.
        mark = hashlib.sha256((digest or urls[0]).encode()).hexdigest()[:12]
        part = parts / f"{place(self.upstream, self.cache).name}-{mark}.part"
        if pin:
            self._adopt(part, mark)
        return Wanted(
            cell=self._cell,
            part=part,
            digest_known=bool(digest),
            digest_pinned=pin is not None,
            size=pin.size if pin else None,
        )

    def _adopt(self, part: Path, mark: str) -> None:
        """Go on with what was fetched of the same pin before something else of its entry in the
        catalogue was changed, unless somebody else does."""
        for other in part.parent.glob(f"{self.upstream.name}_{self.upstream.arch}-*-{mark}.part"):
            target = self.cache / other.name.removesuffix(f"-{mark}.part")
            if other != part and not part.exists():
                with contextlib.suppress(Timeout), FileLock(store.lock_path(target), timeout=0):
                    move(other, part)

    def _check(self, part: Path, expected: Expected, url: str) -> str:
        """The digest of the file, if it is the one that was expected."""
        kind = expected.digest.partition(":")[0] or "sha256"
        self.say(f"{self._cell}: verifying")
        digest = checksums.digest_of(part, kind)
        if expected.digest and digest != expected.digest:
            raise UsageError(
                f"{self._cell}: {url} is not what it should be: it has {digest[:19]}…, and the"
                f" {expected.why} says {expected.digest[:19]}…",
                hint="it was removed; if the distro replaced it, a new pin is needed",
                command=f"harness image check {self._cell}",
            )
        if expected.verify:
            expected.verify(part)
        return digest

    def _keep(self, part: Path, origin: Origin) -> Image:
        target = place(self.upstream, self.cache)
        work = Path(tempfile.mkdtemp(prefix=f".building-{target.name}-", dir=target.parent))
        work.chmod(0o755)
        try:
            unpack(part, origin.format, work, work / debian.LOG)
            self._fix(work)
            (work / debian.LOG).unlink(missing_ok=True)
            firmware = self.upstream.boot.firmware
            record.write_fetched(work, self._cell, self.upstream.hash(), firmware, origin)
            store.discard(target)
            discard(part)  # first: it may be the image's disk, and another download writes into it
            work.rename(target)
        except (OSError, TestbedError) as exc:
            full = getattr(exc, "errno", 0) == errno.ENOSPC
            if full or process.FULL in getattr(exc, "detail", ""):
                # On a file system without links a plain disk was moved.
                kept = "the download is kept" if part.exists() else "it is downloaded anew"
                raise TestbedError(
                    f"the disk of {self.cache} is full: the image of {self._cell} cannot be"
                    " unpacked", hint=f"free some space and call again: {kept}",
                ) from exc  # fmt: skip
            raise
        except UsageError as exc:
            hint = exc.hint
            if origin.trust != trust.PINNED:
                discard(part)
            elif part.exists():  # it is the file that was meant: the catalogue may be wrong of it
                hint = f"{hint} (the download is kept)".lstrip()
            said = exc.what.replace(part.name, "it").replace(PLAIN, "the disk in it")
            raise UsageError(f"{self._cell}: {origin.url}: {said}", hint=hint, detail=exc.detail,
                             command=f"harness image check {self._cell}") from None  # fmt: skip
        finally:
            if work.exists():
                process.delete(work)
        image = cached(self.upstream, self.cache)
        assert image is not None
        return image

    def _fix(self, work: Path) -> None:
        """Put the catalogue's files into the unpacked disk."""
        if wanted := fixes.files(self.upstream.fixes):
            self.say(f"{self._cell}: writing {', '.join(file.path for file in wanted)} into it")
            fixes.apply(work / debian.DISK, wanted, work / debian.LOG)


def _weight(exc: HarnessError) -> int:
    """A wrong file says more than a server that fails, and that more than one without the file."""
    return 2 if isinstance(exc, UsageError) else 0 if isinstance(exc, Gone) else 1


def _forget(parts: Path) -> None:
    for path in parts.iterdir():
        # Another process ends its download; somebody put a directory there.
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            if time.time() - path.stat().st_mtime > FORGOTTEN:
                path.unlink()
