"""Guests for the asking: from an image to a state, saved once and restored ever after."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
from filelock import Timeout

from harness.distros.base import Distro
from harness.errors import GuestRefusal, RestoreError, TestbedError
from harness.guest import probe
from harness.guest.guest import Guest
from harness.hypervisor.saved import SavedState
from harness.image import store
from harness.image.model import Image
from harness.matrix import Cell
from harness.rootless import hooks, inducing, ladder, sourcing, twins
from harness.rootless.machines import Machines
from harness.rootless.options import Options
from harness.rootless.refusals import Refusals, unreached

SCHEMA = 1  # raise it when what a state holds changes in a way that its key does not show
STATE_MAX_AGE = 14 * 86_400.0  # seconds
STATE_MAX_BYTES = 40 << 30  # every cell of the matrix, and what its hooks altered


def _healthy(state: str) -> str:
    """The name, among keys, of *state* before hooks and induced traits alter it."""
    return f"{state}, healthy"


class Lab(Machines):
    """One process's way to guests.  States are shared with other processes through the cache."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._refusals = Refusals(options.run_dir)
        self._images: dict[str, Image] = {}
        self._rebuilt = False  # a state that was whole, and would not be restored

    # what a run is made of

    def image(self, cell: Cell, distro: Distro) -> Image:
        """The image of *cell*, verified once a process, and anew where another has replaced it;
        built at first use, unless the distro's own was fetched."""
        image = self._images.get(cell.id)
        if image is not None and store.replaced(image):
            self.options.progress(f"{cell}: its image was replaced; taking the new one")
            image = None
        if image is None:
            self.connection()  # a wrong URI is told now, and not after minutes of building
            arguments = distro.mode_of(cell).kernel_arguments
            image = sourcing.image(
                cell, distro, self.options.cache.images, self.options.image_source,
                f"{arguments} {self.options.kernel_arguments}".strip(), self.options.progress,
            )  # fmt: skip
            image = replace(image, cmdline=f"{image.cmdline} {arguments}".strip())
            self._images[cell.id] = image
        return image

    def keys_of(self, cell: Cell, distro: Distro) -> dict[str, str]:
        """The key of each state: the hash of everything that makes it, its parent included.

        A state that hooks or traits alter has a second one, :func:`_healthy`, of what it is
        before that.
        """
        image = self.image(cell, distro)
        distro = distro.without(self.options.withheld)
        chosen = self.acceleration(cell.arch, image.kernel)
        arguments = (distro.mode_of(cell).kernel_arguments, self.options.kernel_arguments)
        made_of: list[object] = [
            SCHEMA, image.digest, chosen.kind, chosen.without,
            self.options.memory, self.options.vcpus, " ".join(arguments).strip(),
            self.connection().versions()["qemu"], self.options.uri, probe.definition(),
            self._authority,
        ]  # fmt: skip
        if boots := self.firmware(image):
            made_of += [boots, asdict(image.hardware), msgspec.to_builtins(image.fixes)]
        parent = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
        result = {}
        for state in ladder.STATES:
            made_by = [parent, state, ladder.definition(state, cell, distro), []]
            if cell.twin and state == "booted":
                made_by.append(twins.definition(distro.id, image))
            parent = hashlib.sha256(json.dumps(made_by).encode()).hexdigest()
            # As text, but each byte that is none for itself: a hook may be a binary.
            scripts = [
                path.read_bytes().decode(errors="surrogateescape") for path in self._hooks(state)
            ]
            induced = self.options.induced.get(state, ())
            if scripts or induced:
                result[_healthy(state)] = parent[:24]
                altered = [parent, scripts, induced]
                parent = hashlib.sha256(json.dumps(altered).encode()).hexdigest()
            result[state] = parent[:24]
        return result

    def _hooks(self, state: str) -> tuple[Path, ...]:
        return tuple(self.options.hooks.get(state, ()))

    # guests

    def guest(self, cell: Cell, distro: Distro, state: str) -> Guest:
        """A guest at *state* that nobody has touched.  Raises :class:`GuestRefusal` when the guest
        will not reach the state, and :class:`TestbedError` when the test bed fails."""
        image = self.image(cell, distro)
        return self._at(cell, distro, image, state, self.keys_of(cell, distro))[0]

    def _at(
        self, cell: Cell, distro: Distro, image: Image, state: str, state_keys: Mapping[str, str]
    ) -> tuple[Guest, SavedState]:
        """A guest at *state*, and the saved state that it was restored from.  What is damaged, of
        it or below it, is removed and made anew."""
        for attempt in range(3):
            saved = self._state(cell, distro, image, state, state_keys)
            damaged, damage = self.states.weakest(saved)
            if not damage:
                try:
                    return self._restore(cell, image, saved), saved
                except RestoreError as error:
                    there = self.states.get(saved.key) == saved
                    if attempt == 2 or (there and self._rebuilt):
                        raise  # two that are whole: it is the host, and would end with none
                    self._rebuilt, damage = self._rebuilt or there, error.what
            self.options.progress(
                f"{cell}: state {damaged.name} is damaged ({damage}); rebuilding it"
            )
            with self.states.lock(damaged.key):
                if self.states.get(damaged.key) == damaged:  # no other worker was first
                    self.states.remove(damaged.key)
        raise TestbedError(
            f"{cell}: state {state} was damaged each time it was rebuilt",
            hint="check the disk of the cache directory",
            command="harness cache",
        )

    def _restore(self, cell: Cell, image: Image, saved: SavedState) -> Guest:
        """Restore *saved*, twice if need be: it may be the host that was short of something."""
        try:
            return self.restore(cell, image, saved)
        except RestoreError as error:
            self.options.progress(f"{cell}: {error.what}; trying again")
            return self.restore(cell, image, saved)

    def has(self, cell: Cell, distro: Distro, state: str) -> bool:
        """Whether *state* can be restored, with nothing to be made first."""
        return self._usable(self.keys_of(cell, distro)[state]) is not None

    def boot(self, cell: Cell, distro: Distro) -> Guest:
        """A guest at power-on, from the image itself; nothing is saved."""
        return self.boot_image(cell, self.image(cell, distro))

    def altered(self, cell: Cell, distro: Distro, state: str) -> Guest | None:
        """A guest on which *state* was altered, and nothing asked of it: for looking at one that
        refuses the altered state.  None where nothing alters that very state."""
        state_keys = self.keys_of(cell, distro)
        if _healthy(state) not in state_keys:
            return None
        image = self.image(cell, distro)
        below = {**state_keys, state: state_keys.pop(_healthy(state))}
        guest, _ = self._at(cell, distro, image, state, below)
        try:
            self._alter(guest, state, lambda _: None)
        except BaseException:
            guest.end()
            raise
        return guest

    def _alter(self, guest: Guest, state: str, log: Callable[[str], None]) -> None:
        hooks.run(guest, state, self._hooks(state), self.options.progress)
        inducing.at_state(guest, self.options.induced.get(state, ()), log)

    def _state(
        self, cell: Cell, distro: Distro, image: Image, state: str, state_keys: Mapping[str, str]
    ) -> SavedState:
        key = state_keys[state]
        found = self._usable(key)
        if found is not None:
            return found
        self._refusals.check(key)
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
            self._refusals.check(key)
            try:
                return self._make(cell, distro, image, state, state_keys)
            except GuestRefusal as refusal:
                self._refusals.remember(key, refusal)
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
        """Make *state*, twice where the guest refuses it: that is kept for the whole run.  Guests
        that were altered are meant to refuse."""
        try:
            return self._make_once(cell, distro, image, state, state_keys)
        except GuestRefusal as refusal:
            if self.options.altered or not refusal.what.startswith(unreached(state, "")):
                raise
            self.options.progress(f"{cell}: {refusal.what}; trying again")
            return self._make_once(cell, distro, image, state, state_keys)

    def _make_once(
        self, cell: Cell, distro: Distro, image: Image, state: str, state_keys: Mapping[str, str]
    ) -> SavedState:
        key = state_keys[state]
        rung = ladder.STATES.index(state)
        below = ladder.STATES[rung - 1] if rung else None
        healthy = state_keys.get(_healthy(state))
        if healthy:  # what is altered comes from what is not: installing takes a minute
            below = state
            state_keys = {**state_keys, state: healthy}
            del state_keys[_healthy(state)]
        if below is None:
            self.options.progress(f"{cell}: booting ({self._why_slow(cell)})")
            guest = self.boot_image(cell, image)
            parent = f"image:{image.digest}"
        else:
            guest, parent_state = self._at(cell, distro, image, below, state_keys)
            parent = parent_state.key
            self.options.progress(
                f"{cell}: altering state {state}" if healthy
                else f"{cell}: making state {state} from {below}"
            )  # fmt: skip
        try:
            log: list[str] = []
            if healthy:
                self._alter(guest, state, log.append)
            else:
                self._climb(guest, cell, distro, image, state, log.append)
            facts = guest.probe()
            guest.check_health()  # or they are false, and kept
            records = {"transcript.log": "\n".join(log), **ladder.records(guest, state)}
            if below is not None and self.states.get(parent) != parent_state:
                raise TestbedError(
                    f"{cell}: state {below} was rebuilt while {state} was made from it",
                    hint="ask again",
                )
            return self.save(
                guest, cell, state, key, parent, facts, records, ladder.WARM,
                altered=healthy is not None,
                withheld=[] if state == ladder.STATES[0] else distro.among(self.options.withheld),
            )  # fmt: skip
        except GuestRefusal as refusal:
            self.keep_guest_logs(guest, cell, f"state-{state}")
            guest.check_health()
            refusal.what = unreached(state, refusal.what)
            raise
        finally:
            guest.end()

    def _climb(
        self, guest: Guest, cell: Cell, distro: Distro, image: Image, state: str,
        log: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Make of a guest at the state below what *state* is, with nothing altered."""
        booted = state == ladder.STATES[0]
        if booted:
            guest.wait_booted()
            sourcing.settle(guest, image, distro.package_manager, self.options.cache.images,
                            self.options.progress, log)  # fmt: skip
        ladder.climb(guest, cell, distro.without(self.options.withheld), state, log)
        if cell.twin and booted:
            self.options.progress(f"{cell}: making the guest a twin of {distro.title}")
            twins.make(guest, distro, image, self.options.cache.twins, self.options.progress, log)

    def _why_slow(self, cell: Cell) -> str:
        chosen = self.acceleration(cell.arch)
        return f"{chosen.kind}: {chosen.reason}"
