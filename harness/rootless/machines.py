"""Machines as guests: boot an image, restore a state, save one, and forget what has ended."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import RestoreError, TestbedError
from harness.guest import keys
from harness.guest.facts import Facts
from harness.guest.guest import Access, Guest
from harness.hypervisor import acceleration, firmware
from harness.hypervisor.acceleration import Acceleration
from harness.hypervisor.connection import EMBED, Connection, connect
from harness.hypervisor.domain import MachineSpec
from harness.hypervisor.leases import Lease, Leases, end_guest
from harness.hypervisor.machine import Machine, create_overlay
from harness.hypervisor.saved import (
    DISK,
    LOGS,
    MEMORY,
    NVRAM,
    SEED,
    SavedState,
    StateStore,
)
from harness.image import seed, store
from harness.image.model import Image
from harness.matrix import Cell
from harness.rootless.ladder import STATES
from harness.rootless.options import Options

# Bytes.  Clouds' images are as small as 2 GiB, to be grown by whoever boots them; the guest's
# cloud-init grows the root to its disk.
ROOM = 16 << 30


class Machines:
    """The guests of one process."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.leases = Leases(options.cache.leases)
        self.states = StateStore(options.cache.states)
        if options.uri == EMBED:  # the QEMU of another libvirt may be another user's
            for part in (options.cache.states, options.cache.guests):
                with contextlib.suppress(OSError):
                    part.chmod(0o700)  # disks and memory hold what the guests are known by
        self._keys = options.cache.root / "keys"
        self._accelerations: dict[str, Acceleration] = {}
        self._guests: dict[int, tuple[Guest, Lease]] = {}
        self._authority = keys.authority_line(self._keys)  # saved guests trust no other
        self._identity = keys.new_identity(self._keys, ["root", seed.USER])

    def connection(self) -> Connection:
        return connect(
            self.options.uri, capabilities_cache=self.options.cache.root / "libvirt"
        )

    def acceleration(self, arch: str, kernel: Path | None = None) -> Acceleration:
        """What guests of *arch* get, proven by *kernel* or one of the cache.  Where there is none
        yet, the question stays open for the first that comes."""
        chosen = self._accelerations.get(arch)
        if chosen is None:
            kernel = kernel or store.kernel(self.options.cache.images, arch)
            chosen = acceleration.decide(arch, self.options.accel, kernel)
            qemu = self.connection().versions()["qemu"]
            chosen = replace(chosen, without=acceleration.unsound(arch, chosen.kind, qemu))
            if kernel is not None or chosen.kind == "tcg":
                self._accelerations[arch] = chosen
        return chosen

    def firmware(self, image: Image) -> str:
        """What *image* boots with here: nothing, where its kernel is started directly."""
        if image.kernel is not None:
            return firmware.DIRECT
        return firmware.choose(image.cell, image.cell.partition("/")[2], image.firmware)

    def _spec(self, image: Image, scratch: Path, lease: Lease, seed_path: Path) -> MachineSpec:
        boots = self.firmware(image)
        arguments = f"{image.cmdline} {self.options.kernel_arguments}".strip()
        return MachineSpec(
            name="guest",
            arch=image.cell.split("/")[1],
            disk=scratch / DISK,
            seed=seed_path,
            kernel=image.kernel,
            initrd=image.initrd,
            cmdline="" if boots else arguments,
            console=Path(lease.console),
            ssh_port=lease.ssh_port,
            thaw=self.connection().root / f"thaw-{lease.ssh_port}",
            memory=self.options.memory,
            vcpus=self.options.vcpus,
            firmware=boots,
            nvram=scratch / NVRAM if boots == firmware.UEFI else None,
            disk_bus=image.hardware.disk,
            seed_bus=image.hardware.seed,
            nic=image.hardware.nic,
        )

    @contextlib.contextmanager
    def _leased(
        self, cell: Cell, image: Image, identity: uuid.UUID
    ) -> Iterator[tuple[Lease, Path]]:
        """A lease and its scratch directory, both forgotten where no guest comes of them."""
        if store.replaced(image):
            raise TestbedError(
                f"{cell}: its image was replaced while its states were made",
                hint="ask again: the new one is then taken",
            )
        name = f"{cell.slug}-{secrets.token_hex(4)}"
        scratch = self.options.cache.guests / name
        lease = self.leases.take(
            name=name, uuid=str(identity), cell=cell.id, run=self.options.run_id,
            directory=scratch, console=self.logs(cell) / f"console-{name[-8:]}.log",
        )  # fmt: skip
        try:
            scratch.mkdir(parents=True)
            yield lease, scratch
        except BaseException:
            self._forget(lease)
            raise

    def boot_image(self, cell: Cell, image: Image) -> Guest:
        """A guest at power-on; nobody has waited for it."""
        host_key = keys.new_host_key()
        identity = uuid.uuid4()
        with self._leased(cell, image, identity) as (lease, scratch):
            seed_path = scratch / SEED
            seed.seed_iso(
                seed_path,
                seed.user_data(
                    host_key=host_key.private, host_public=host_key.public,
                    user_ca=keys.authority_line(self._keys),
                ),
                seed.meta_data(lease.name),
            )  # fmt: skip
            spec = self._spec(image, scratch, lease, seed_path)
            return self._start(cell, lease, host_key.public, identity, spec, image.path, None)

    def restore(self, cell: Cell, image: Image, saved: SavedState) -> Guest:
        """A guest as it was saved, with the right time and entropy of its own."""
        identity = uuid.UUID(saved.uuid)
        with self._leased(cell, image, identity) as (lease, scratch):
            spec = self._spec(image, scratch, lease, saved.seed)
            try:
                self.states.touch(saved)
            except OSError as error:
                raise RestoreError(f"the saved state {saved.key} was just removed") from error
            self._show_records(cell, saved)
            guest = self._start(
                cell, lease, saved.extra["host_key"], identity,
                spec.with_cmdline(saved.extra["cmdline"]), saved.disk, saved,
            )  # fmt: skip
            try:
                guest.thaw(saved.extra.get("listens", True))
            except BaseException:
                guest.end()
                raise
            return guest

    def _start(
        self, cell: Cell, lease: Lease, host_key: str, identity: uuid.UUID, spec: MachineSpec,
        backing: Path, saved: SavedState | None,
    ) -> Guest:  # fmt: skip
        chosen = self.acceleration(cell.arch, spec.kernel)
        create_overlay(spec.disk, backing, 0 if saved or not spec.firmware else ROOM)
        if saved and saved.nvram and spec.nvram:
            shutil.copyfile(saved.nvram, spec.nvram)
        if saved is None:
            machine = Machine.boot(self.connection(), spec, chosen, identity)
        else:
            machine = Machine.restore(self.connection(), spec, chosen, identity, saved.memory)
        facts = Facts.from_json(saved.extra["facts"]) if saved else None
        guest = Guest(
            cell.id, machine, Access(self._identity, host_key, seed.USER),
            scale=chosen.scale, facts=facts, altered=self.options.altered,
            on_end=lambda: self._forget(lease),
        )  # fmt: skip
        self._guests[id(guest)] = (guest, lease)
        return guest

    def _forget(self, lease: Lease) -> None:
        """Remove every trace of a guest that has ended, or kill it where it has not."""
        end_guest(lease)
        self.leases.release(lease.name)
        for number, (_, held) in list(self._guests.items()):
            if held.name == lease.name:
                del self._guests[number]

    def save(
        self, guest: Guest, cell: Cell, state: str, key: str, parent: str, facts: Facts,
        records: Mapping[str, str], warm: tuple[str, ...], *, altered: bool,
        withheld: Sequence[str] = (),
    ) -> SavedState:  # fmt: skip
        """Save *guest*, which ends, as the state *key* above *parent*; *records* are texts for
        its logs, *warm* the programs to keep in its page cache.  *altered*: by the hooks and
        traits of this state, not only by those of states below.  *withheld*: the hints."""
        listens = guest.prepare_save(warm)
        workspace = self.states.workspace()
        try:
            guest.machine.save(workspace / MEMORY)
            spec = guest.machine.spec
            shutil.move(spec.disk, workspace / DISK)
            shutil.copy2(spec.seed, workspace / SEED)
            if spec.nvram:
                shutil.move(spec.nvram, workspace / NVRAM)
            (workspace / LOGS).mkdir()
            for name, text in records.items():
                (workspace / LOGS / name).write_text(text, "utf-8")
            shutil.copy2(guest.console_path, workspace / LOGS / "console.log")
            return self.states.publish(
                workspace, key=key, name=state, cell=cell.id, parent=parent,
                uuid=str(guest.machine.identity),
                extra={
                    "host_key": guest.access.host_key, "cmdline": spec.cmdline,
                    "facts": facts.to_json(), "hooks": self._hook_names(state, altered),
                    "induced": self._induced(state, altered),
                    "altered": altered, "listens": listens,
                    "kernel_arguments": self.options.kernel_arguments, "withheld": list(withheld),
                },
            )  # fmt: skip
        except OSError as error:
            raise TestbedError(
                f"{cell}: state {state} could not be saved: {error.strerror or error}",
                hint="free space in the cache directory, or let the cache evict states",
                command="harness cache clear --states",
            ) from error
        finally:
            shutil.rmtree(workspace, ignore_errors=True)

    def _hook_names(self, state: str, altered: bool) -> list[str]:
        """Of every script that ran on the way to *state*, for those who look at it later."""
        below = STATES[: STATES.index(state) + altered]
        return [path.name for rung in below for path in self.options.hooks.get(rung, ())]

    def _induced(self, state: str, altered: bool) -> list[str]:
        """Every trait that was induced on the way to *state*, as it is asked for."""
        below = STATES[: STATES.index(state) + altered]
        induced = self.options.induced
        return [f"{rung}:{name}={value}" for rung in below for name, value in induced.get(rung, ())]

    def logs(self, cell: Cell) -> Path:
        """The directory of *cell*'s logs in this run."""
        path = self.options.run_dir / "logs" / cell.slug
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _show_records(self, cell: Cell, saved: SavedState) -> None:
        """Copy what was noted when the state was made into this run's logs, once."""
        altered = "-altered" if saved.extra.get("altered") else ""
        target = self.logs(cell) / f"state-{saved.name}{altered}"
        if not target.exists() and (saved.directory / LOGS).exists():
            with contextlib.suppress(OSError):  # another worker was first
                shutil.copytree(saved.directory / LOGS, target)

    def keep_guest_logs(self, guest: Guest, cell: Cell, name: str) -> None:
        """The journal and the daemon's log of a guest that is about to end; best effort."""
        with contextlib.suppress(Exception):
            text = guest.root.sh("journalctl --no-pager -b -n 2000", check=False).stdout
            (self.logs(cell) / f"{name}-journal.log").write_text(text, "utf-8")

    def keep(self, guest: Guest) -> Lease:
        """Leave *guest* running beyond this run; see :mod:`harness.rootless.kept`."""
        _, lease = self._guests.pop(id(guest))
        return lease

    def close(self) -> None:
        """End every guest of this process."""
        for guest, _ in list(self._guests.values()):
            with contextlib.suppress(Exception):
                guest.end()
