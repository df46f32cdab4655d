"""How long a guest takes, beside bare QEMU with OpenSSH in the same run.

Each figure is a median of --rounds (10).  Only ratios within one run mean anything: machines
differ, and so does what else they do.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from harness.distros import registry
from harness.errors import HarnessError
from harness.hypervisor.machine import Machine
from harness.image.seed import USER
from harness.matrix import Cell
from harness.paths import cache, runs
from harness.rootless import ladder
from harness.rootless.housekeeping import passing
from harness.rootless.lab import Lab
from harness.rootless.options import Options
from harness.session.run import new_id
from tools.bare import Bare, fresh_overlay, monitor, prepare, running_after

READY = ("docker", "version")


def tell(text: str) -> None:
    print(text, file=sys.stderr)


def rounds_of(count: int, name: str, once: Callable[[], float]) -> list[float]:
    figures = []
    for number in range(count):
        print(f"{name}: {number + 1}/{count}", end="\r", file=sys.stderr, flush=True)
        figures.append(once())
    print(f"{name}: median {statistics.median(figures):.2f} s", file=sys.stderr)
    return figures


def libvirt_share(rounds: int, lab: Lab, cell: Cell) -> list[float]:
    """Seconds inside libvirt's restore call."""
    spent: list[float] = []
    original = Machine.restore

    def timed(*args: object, **kwargs: object) -> Machine:
        started = time.monotonic()
        machine = original(*args, **kwargs)  # type: ignore[arg-type]
        spent.append(time.monotonic() - started)
        return machine

    Machine.restore = timed  # type: ignore[method-assign]
    try:
        for _ in range(rounds):
            lab.guest(cell, registry.of(cell), "daemon").end()
    finally:
        Machine.restore = original  # type: ignore[method-assign]
    return spent


def measure(cell: Cell, rounds: int, boots: int, scratch: Path) -> dict[str, list[float]]:
    """Every figure, as lists of seconds."""
    distro = registry.of(cell)
    figures: dict[str, list[float]] = {}
    with passing(Options(cache(), new_id(), scratch, progress=tell)) as lab:
        image = lab.image(cell, distro)
        for state in ladder.STATES:  # made, and read once, before anything is timed
            guest = lab.guest(cell, distro, state)
            guest.end()

        def asked(state: str) -> float:
            started = time.monotonic()
            guest = lab.guest(cell, distro, state)
            guest.user.run("true")
            seconds = time.monotonic() - started
            guest.end()
            return seconds

        for state in ladder.STATES:
            figures[f"harness: {state}"] = rounds_of(
                rounds, f"harness, {state}", lambda state=state: asked(state)  # type: ignore[misc]
            )
        figures["libvirt's restore call"] = libvirt_share(rounds, lab, cell)

        def cold() -> float:
            started = time.monotonic()
            guest = lab.boot(cell, distro)
            guest.wait_answer()
            seconds = time.monotonic() - started
            guest.end()
            return seconds

        figures["harness: cold boot"] = rounds_of(boots, "cold boot", cold)

        saved = lab.states.get(lab.keys_of(cell, distro)["daemon"])
        assert saved is not None
        guest = lab.guest(cell, distro, "daemon")
        port, access = guest.machine.spec.ssh_port, guest.access
        guest.end()
        access.identity.write(scratch / "id")
        (scratch / "known_hosts").write_text(f"[127.0.0.1]:{port} {access.host_key}\n")
        bare = Bare(
            image, lab.acceleration(cell.arch), saved.seed, scratch / "id",
            scratch / "known_hosts", port, lab.options.memory, lab.options.vcpus,
        )  # fmt: skip
        disk = prepare(bare, scratch, saved.disk, USER, READY)

        def incoming() -> float:
            overlay = fresh_overlay(disk)
            with bare.run(overlay, "-incoming", f"exec:cat {scratch / 'stream'}") as started:
                continue_guest(overlay)
                bare.wait(USER, 120, "true")
                return time.monotonic() - started

        def resume() -> float:
            overlay = fresh_overlay(disk)
            with bare.run(overlay, "-incoming", f"exec:cat {scratch / 'stream'}") as started:
                continue_guest(overlay)
                return running_after(overlay.parent / "monitor", started)

        def loadvm() -> float:
            with bare.run(disk, "-loadvm", "bench") as started:
                continue_guest(disk)
                bare.wait(USER, 120, "true")
                return time.monotonic() - started

        figures["bare QEMU -incoming, OpenSSH"] = rounds_of(rounds, "bare -incoming", incoming)
        figures["bare QEMU -loadvm, OpenSSH"] = rounds_of(rounds, "bare -loadvm", loadvm)
        figures["bare QEMU -incoming, until it runs"] = rounds_of(rounds, "bare resume", resume)
    return figures


def continue_guest(disk: Path) -> None:
    """The guest was saved stopped: tell it to go on as soon as it is all there."""
    path = disk.parent / "monitor"
    while True:
        with contextlib.suppress(OSError):
            if "inmigrate" not in monitor(path, "info status"):
                monitor(path, "cont")
                return
        time.sleep(0.005)


def show(figures: dict[str, list[float]], preparing: float | None) -> dict[str, float]:
    """Print medians and ratios; returns the ratios."""
    medians = {name: statistics.median(values) for name, values in figures.items()}
    table = Table("what", "median", "min", "max", "n", title="to the first answered command (s)")
    for name, values in figures.items():
        table.add_row(
            name, f"{medians[name]:.2f}", f"{min(values):.2f}", f"{max(values):.2f}",
            str(len(values)),
        )  # fmt: skip
    daemon = medians["harness: daemon"]
    ratios = {
        "daemon / bare -incoming with OpenSSH": daemon / medians["bare QEMU -incoming, OpenSSH"],
        "daemon / bare -loadvm with OpenSSH": daemon / medians["bare QEMU -loadvm, OpenSSH"],
        "libvirt's restore call / bare resume": medians["libvirt's restore call"]
        / medians["bare QEMU -incoming, until it runs"],
        "cold boot / daemon": medians["harness: cold boot"] / daemon,
    }
    if preparing:
        ratios["booting and preparing / daemon"] = preparing / daemon
    second = Table("ratio", "value")
    for name, value in ratios.items():
        second.add_row(name, f"{value:.2f}")
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table)
    console.print(second)
    return ratios


def climb_once(cell: Cell, scratch: Path) -> float:
    """Seconds to boot and prepare a guest to ``daemon`` with no state in the cache."""
    distro = registry.of(cell)
    empty = scratch / "cache"
    (empty / "images").parent.mkdir(parents=True)
    (empty / "images").symlink_to(cache().images)
    with passing(Options(cache(empty), new_id(), scratch, progress=tell)) as lab:
        lab.image(cell, distro)
        started = time.monotonic()
        guest = lab.guest(cell, distro, "daemon")
        guest.user.run("true")
        seconds = time.monotonic() - started
        guest.end()
    return seconds


@click.command(help=__doc__)
@click.option("--cell", default="debian-12/x86_64", show_default=True)
@click.option("--rounds", default=10, show_default=True, help="for restores")
@click.option("--boots", default=10, show_default=True, help="for cold boots")
@click.option("--no-climb", is_flag=True, help="skip booting and preparing without a cache")
def main(cell: str, rounds: int, boots: int, no_climb: bool) -> None:
    distro, _, arch = cell.partition("/")
    name, _, release = distro.partition("-")
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=cache().root))
    try:
        chosen = Cell(name, release, arch)
        figures = measure(chosen, rounds, boots, scratch)
        preparing = None if no_climb else climb_once(chosen, scratch)
        ratios = show(figures, preparing)
    except HarnessError as error:
        raise SystemExit(str(error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    path = runs() / f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seconds": figures, "preparing": preparing, "ratios": ratios}))
    print(f"figures: {path}")


if __name__ == "__main__":
    main()
