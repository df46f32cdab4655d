"""The command line: thin.  Each command lives in ``harness.commands``, imported when it is used."""

from __future__ import annotations

import click

from harness import __version__
from harness.commands.face import Face

COMMANDS = {
    "doctor": ("harness.commands.doctor:doctor", "Check whether this machine can boot guests."),
    "matrix": ("harness.commands.matrix:matrix", "List every cell, and which can boot here."),
    "run": ("harness.commands.run:run", "Run scenarios on guests, and show the report."),
    "report": ("harness.commands.report:report", "Show the report of a stored run again."),
    "compare": ("harness.commands.report:compare", "Tell what changed between two stored runs."),
    "shell": ("harness.commands.shell:shell", "Enter a guest, or run one command in it."),
    "claims": ("harness.commands.claims:claims", "List documented claims and their scenarios."),
    "explain": ("harness.commands.explain:explain", "Tell what a claim predicts on a cell."),
    "trait": ("harness.commands.trait:trait", "List traits; tell what a cell has of them."),
    "bug": ("harness.commands.bug:bug", "List reported bugs, and show them on guests."),
    "image": ("harness.commands.image:image", "List, build, fetch and verify images."),
    "cache": ("harness.commands.cache:cache", "Show, reap, evict and clear what is cached."),
}


@click.group(
    cls=Face, commands_at=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="harness")
def main() -> None:
    """Test rootless Docker on real virtual machines of many distros.

    \b
    Start here:
      harness doctor                         can this machine do it?
      harness run --cell debian-12/x86_64    boot, test, report
      harness shell debian-12/x86_64         look around in a guest

    \b
    Exit status:
      0    nothing was found
      1    a finding, or a guest that refuses
      4    wrong usage, or a broken file
      16   the test bed is broken
      130  interrupted
    """


if __name__ == "__main__":
    main()
