"""Guests for the asking: from an image to a state, saved once and restored ever after."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import Timeout

from harness.distros.base import Distro
from harness.errors import GuestRefusal, TestbedError
from harness.guest import keys
from harness.guest.facts import Facts
from harness.guest.guest import Access, Guest
from harness.guest.session import Result
from harness.hypervisor import acceleration
from harness.hypervisor.acceleration import Acceleration
from harness.hypervisor.connection import EMBED, Connection, connect
from harness.hypervisor.domain import MachineSpec
from harness.hypervisor.leases import Lease, Leases, end_guest
from harness.hypervisor.machine import Machine, create_overlay
from harness.hypervisor.saved import DISK, MEMORY, SEED, SavedState, StateStore
from harness.image import recipe as recipes
from harness.image import seed, store
from harness.image.model import Image
from harness.matrix import Cell
from harness.paths import Cache
from harness.rootless import ladder

SCHEMA = 1  # raise it when what a state holds changes in a way that its key does not show
STATE_MAX_AGE = 14 * 86_400.0  # seconds
STATE_MAX_BYTES = 20 << 30
HOOK_SECONDS = 300.0

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How a run uses the lab.  ``hooks`` maps a state to scripts run as root when it is made;
    ``memory`` in MiB."""

    cache: Cache
    run_id: str
    run_dir: Path
    uri: str = EMBED
    accel: str = "auto"
    hooks: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    kernel_arguments: str = ""
    memory: int = 2048
    vcpus: int = 2
    progress: Progress = print


class Lab:
    """One process's way to guests.  States are shared with other processes through the cache."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.leases = Leases(options.cache.leases)
        self.states = StateStore(options.cache.states)
        self._keys = options.cache.root / "keys"
        self._accelerations: dict[str, Acceleration] = {}
        self._images: dict[str, Image] = {}
        self._guests: dict[int, tuple[Guest, Lease]] = {}
        self._identity = keys.new_identity(self._keys, ["root", seed.USER])

    # what a run is made of

    def connection(self) -> Connection:
        return connect(
            self.options.uri, capabilities_cache=self.options.cache.root / "libvirt"
        )

    def acceleration(self, arch: str, kernel: Path | None = None) -> Acceleration:
        chosen = self._accelerations.get(arch)
        if chosen is None:
            chosen = acceleration.decide(arch, self.options.accel, kernel)
            self._accelerations[arch] = chosen
        return chosen

    def image(self, cell: Cell, distro: Distro) -> Image:
        """The image of *cell*, built at first use and verified once a process."""
        image = self._images.get(cell.id)
        if image is None:
            image = store.ensure(
                recipes.load(distro.recipe), cell.arch, self.options.cache.images,
                self.options.progress, verify=True,
            )  # fmt: skip
            self._images[cell.id] = image
        return image

    def keys_of(self, cell: Cell, distro: Distro) -> dict[str, str]:
        """The key of each state: the hash of everything that makes it, its parent included."""
        image = self.image(cell, distro)
        chosen = self.acceleration(cell.arch, image.kernel)
        parent = hashlib.sha256(
            json.dumps(
                [
                    SCHEMA, image.digest, chosen.kind, self.options.memory, self.options.vcpus,
                    self.options.kernel_arguments, self.connection().versions()["qemu"],
                    self.options.uri,
                ]
            ).encode()
        ).hexdigest()  # fmt: skip
        result = {}
        for state in ladder.STATES:
            hooks = [path.read_text(errors="replace") for path in self._hooks(state)]
            made_by = [parent, state, ladder.definition(state, cell, distro), hooks]
            parent = hashlib.sha256(json.dumps(made_by).encode()).hexdigest()
            result[state] = parent[:24]
        return result

    def _hooks(self, state: str) -> tuple[Path, ...]:
        return tuple(self.options.hooks.get(state, ()))

    # guests

    def guest(self, cell: Cell, distro: Distro, state: str) -> Guest:
        """A guest at *state* that nobody has touched.

        Raises :class:`GuestRefusal` when the guest will not reach the state, and
        :class:`TestbedError` when the test bed fails.
        """
        image = self.image(cell, distro)
        state_keys = self.keys_of(cell, distro)
        for attempt in range(3):
            saved = self._state(cell, distro, image, state, state_keys)
            damage = self.states.damage(saved, thorough=True)
            if not damage:
                try:
                    return self._restore(cell, image, saved)
                except TestbedError as error:
                    if attempt == 2 or "could not be restored" not in error.what:
                        raise
                    damage = error.what
            self.options.progress(f"{cell}: state {state} is damaged ({damage}); rebuilding it")
            with self.states.lock(saved.key):
                self.states.remove(saved.key)
        raise TestbedError(
            f"{cell}: state {state} was damaged each time it was rebuilt",
            hint="check the disk of the cache directory",
            command="harness cache",
        )

    def boot(self, cell: Cell, distro: Distro) -> Guest:
        """A guest at power-on, from the image itself; nothing is saved."""
        return self._boot(cell, self.image(cell, distro))

    def _state(
        self, cell: Cell, distro: Distro, image: Image, state: str, state_keys: Mapping[str, str]
    ) -> SavedState:
        key = state_keys[state]
        found = self._usable(key)
        if found is not None:
            return found
        self._raise_earlier_refusal(key)
        lock = self.states.lock(key)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock.acquire(timeout=1))
            except Timeout:
                self.options.progress(f"{cell}: waiting for state {state}, made by another worker")
                stack.enter_context(lock.acquire())
            found = self._usable(key)
            if found is not None:
                return found
            self._raise_earlier_refusal(key)
            try:
                return self._make(cell, distro, image, state, state_keys)
            except GuestRefusal as refusal:
                self._remember_refusal(key, refusal)
                raise

    def _usable(self, key: str) -> SavedState | None:
        """The saved state, if all that lies below its disk is there too."""
        found = self.states.get(key)
        current = found
        while current is not None:
            if self.states.damage(current, thorough=False):
                self.states.remove(current.key)
                return None
            below = self.states.get(current.parent)
            if below is None and not current.parent.startswith("image:"):
                self.states.remove(current.key)
                return None
            current = below
        return found

    def _make(
        self, cell: Cell, distro: Distro, image: Image, state: str, state_keys: Mapping[str, str]
    ) -> SavedState:
        rung = ladder.STATES.index(state)
        below = ladder.STATES[rung - 1] if rung else None
        if below is None:
            self.options.progress(f"{cell}: booting ({self._why_slow(cell)})")
            guest = self._boot(cell, image)
            parent = f"image:{image.digest}"
        else:
            parent_state = self._state(cell, distro, image, below, state_keys)
            self.options.progress(f"{cell}: making state {state} from {below}")
            guest = self._restore(cell, image, parent_state)
            parent = parent_state.key
        try:
            if below is None:
                guest.wait_booted()
            log: list[str] = []
            ladder.climb(guest, cell, distro, state, log.append)
            self._run_hooks(guest, state)
            facts = guest.probe()
            self._keep_log(cell, state, log)
            return self._save(guest, cell, state, state_keys[state], parent, facts)
        except GuestRefusal as refusal:
            self.keep_guest_logs(guest, cell, f"state-{state}")
            refusal.what = f"state {state} cannot be reached: {refusal.what}"
            raise
        finally:
            guest.end()

    def _why_slow(self, cell: Cell) -> str:
        chosen = self.acceleration(cell.arch)
        return f"{chosen.kind}: {chosen.reason}"

    def _run_hooks(self, guest: Guest, state: str) -> None:
        for path in self._hooks(state):
            self.options.progress(f"{guest.cell}: hook {path.name} at state {state}")
            result = self._run_script(guest, path)
            if not result.ok:
                raise TestbedError(
                    f"{guest.cell}: the hook {path} exited with {result.exit_status}",
                    hint="try it by hand in the state below",
                    command=f"harness shell {guest.cell} --state {state}",
                    detail=result.transcript[-2000:],
                )
            if guest.root.run("test", "-e", "/run/reboot-required", check=False).ok:
                self.options.progress(f"{guest.cell}: the hook asks for a reboot")
                guest.reboot()

    @staticmethod
    def _run_script(guest: Guest, path: Path) -> Result:
        """A script without a #! line is taken by sh."""
        script = path.read_bytes()
        if not script.startswith(b"#!"):
            script = b"#!/bin/sh\n" + script
        # Not in /run or /tmp, which may be mounted noexec.
        guest.root.write("/root/.harness-hook", script, mode=0o700)
        return guest.root.sh(
            "/root/.harness-hook; status=$?; rm -f /root/.harness-hook; exit $status",
            timeout=HOOK_SECONDS, check=False,
        )  # fmt: skip

    # machines

    def _spec(self, image: Image, scratch: Path, lease: Lease, seed_path: Path) -> MachineSpec:
        return MachineSpec(
            name="guest",
            arch=image.cell.split("/")[1],
            disk=scratch / DISK,
            seed=seed_path,
            kernel=image.kernel,
            initrd=image.initrd,
            cmdline=f"{image.cmdline} {self.options.kernel_arguments}".strip(),
            console=Path(lease.console),
            ssh_port=lease.ssh_port,
            thaw=self.connection().root / f"thaw-{lease.ssh_port}",
            memory=self.options.memory,
            vcpus=self.options.vcpus,
        )

    def _lease(self, cell: Cell, identity: uuid.UUID) -> tuple[Lease, Path]:
        name = f"{cell.slug}-{secrets.token_hex(4)}"
        scratch = self.options.cache.root / "guests" / name
        scratch.mkdir(parents=True)
        logs = self.logs(cell)
        lease = self.leases.take(
            name=name, uuid=str(identity), cell=cell.id, run=self.options.run_id,
            directory=scratch, console=logs / f"console-{name[-8:]}.log",
        )  # fmt: skip
        return lease, scratch

    def _boot(self, cell: Cell, image: Image) -> Guest:
        host_key = keys.new_host_key()
        identity = uuid.uuid4()
        lease, scratch = self._lease(cell, identity)
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

    def _restore(self, cell: Cell, image: Image, saved: SavedState) -> Guest:
        identity = uuid.UUID(saved.uuid)
        lease, scratch = self._lease(cell, identity)
        spec = self._spec(image, scratch, lease, saved.seed)
        self.states.touch(saved)
        guest = self._start(
            cell, lease, saved.extra["host_key"], identity,
            spec.with_cmdline(saved.extra["cmdline"]), saved.disk, saved,
        )  # fmt: skip
        try:
            guest.thaw()
        except BaseException:
            guest.end()
            raise
        return guest

    def _start(
        self, cell: Cell, lease: Lease, host_key: str, identity: uuid.UUID, spec: MachineSpec,
        backing: Path, saved: SavedState | None,
    ) -> Guest:  # fmt: skip
        chosen = self.acceleration(cell.arch, spec.kernel)
        try:
            create_overlay(spec.disk, backing)
            if saved is None:
                machine = Machine.boot(self.connection(), spec, chosen, identity)
            else:
                machine = Machine.restore(self.connection(), spec, chosen, identity, saved.memory)
        except BaseException:
            self._forget(lease)
            raise
        facts = Facts.from_json(saved.extra["facts"]) if saved else None
        guest = Guest(
            cell.id, machine, Access(self._identity, host_key, seed.USER),
            scale=chosen.scale, facts=facts, on_end=lambda: self._forget(lease),
        )  # fmt: skip
        self._guests[id(guest)] = (guest, lease)
        return guest

    def _forget(self, lease: Lease) -> None:
        """Remove every trace of a guest that has ended, or kill it where it has not."""
        end_guest(lease)
        self.leases.release(lease.name)
        self._guests = {k: (guest, held) for k, (guest, held) in self._guests.items() if held.name != lease.name}

    def _save(
        self, guest: Guest, cell: Cell, state: str, key: str, parent: str, facts: Facts
    ) -> SavedState:
        guest.prepare_save(ladder.WARM)
        workspace = self.states.workspace()
        try:
            guest.machine.save(workspace / MEMORY)
            spec = guest.machine.spec
            shutil.move(spec.disk, workspace / DISK)
            shutil.copy2(spec.seed, workspace / SEED)
            return self.states.publish(
                workspace, key=key, name=state, cell=cell.id, parent=parent,
                uuid=str(guest.machine.identity),
                extra={
                    "host_key": guest.access.host_key, "cmdline": spec.cmdline,
                    "facts": facts.to_json(), "hooks": [p.name for p in self._hooks(state)],
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

    # refusals: what a guest will not do is found out once a run

    def _refusal_path(self, key: str) -> Path:
        return self.options.run_dir / "refusals" / f"{key}.json"

    def _remember_refusal(self, key: str, refusal: GuestRefusal) -> None:
        path = self._refusal_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"what": refusal.what, "detail": refusal.detail}))
        temporary.replace(path)

    def _raise_earlier_refusal(self, key: str) -> None:
        try:
            record = json.loads(self._refusal_path(key).read_text())
        except (OSError, ValueError):
            return
        raise GuestRefusal(record["what"], detail=record["detail"])

    # logs

    def logs(self, cell: Cell) -> Path:
        """The directory of *cell*'s logs in this run."""
        path = self.options.run_dir / "logs" / cell.slug
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _keep_log(self, cell: Cell, state: str, log: list[str]) -> None:
        if log:
            (self.logs(cell) / f"state-{state}.log").write_text("\n".join(log) + "\n")

    def keep_guest_logs(self, guest: Guest, cell: Cell, name: str) -> None:
        """The journal and the daemon's log of a guest that is about to end; best effort."""
        with contextlib.suppress(Exception):
            text = guest.root.sh("journalctl --no-pager -b -n 2000", check=False).stdout
            (self.logs(cell) / f"{name}-journal.log").write_text(text)

    # the end

    def keep(self, guest: Guest) -> Lease:
        """Leave *guest* running beyond this run; see :mod:`harness.rootless.kept`."""
        _, lease = self._guests.pop(id(guest))
        return lease

    def close(self) -> None:
        """End every guest of this process."""
        for guest, _ in list(self._guests.values()):
            with contextlib.suppress(Exception):
                guest.end()
