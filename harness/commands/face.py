"""What all commands share: they are imported when used, and errors become lines and statuses."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import click

from harness.errors import GuestRefusal, HarnessError, UsageError
from harness.names import instead

FINDING, USAGE, TESTBED, INTERRUPTED = 1, 4, 16, 130
UNREAD = 128 + signal.SIGPIPE  # as a program that this signal ends


class Group(click.Group):
    """Says which commands it has, to whoever asks for another."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, which says no names, and does not know those of commands that are imported
        late."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            ctx.fail(f"no such command {args[0]!r}; {instead(args[0], known, 'commands')}")
        return super().resolve_command(ctx, args)


class Face(Group):
    """``commands_at`` maps a name to ``module:attribute`` and a line of help."""

    def __init__(self, *args: Any, commands_at: Mapping[str, tuple[str, str]], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._at:
            return None
        module, _, name = self._at[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._at.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """As click's, whose own status for a pipe that nobody reads is that of a finding."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read has seen enough
            with contextlib.suppress(OSError, ValueError):  # Python flushes once more at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(UNREAD) from None

    def main(  # type: ignore[override]  # click's overloads differ between its versions
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """As click's, but with this project's messages and exit statuses."""
        extra["standalone_mode"] = False
        try:
            status = super().main(args, prog_name, **extra)
        except (click.Abort, KeyboardInterrupt):
            _leave("harness: interrupted", INTERRUPTED)
        except click.ClickException as error:
            with _unheard():
                error.show()
            sys.exit(USAGE if isinstance(error, click.UsageError) else FINDING)
        except HarnessError as error:
            _leave(f"harness: {error}", status_of(error))
        except ImportError as error:
            if (error.name or "").startswith("harness"):
                with _unheard():
                    traceback.print_exc()  # whoever changes the harness wants to see where
                sys.exit(TESTBED)
            _leave(f"harness: a library is missing: {error}\nnext: make bootstrap", TESTBED)
        except OSError as error:
            where = error.filename or ("stdout" if _of_stdout(error) else "")
            _leave(f"harness: {where and f'{where}: '}{error.strerror or error}", TESTBED)
        except Exception:  # Python's own status for it is that of a finding
            with _unheard():
                traceback.print_exc()
            sys.exit(TESTBED)
        sys.exit(status if isinstance(status, int) else 0)


def _of_stdout(error: OSError) -> bool:
    """Whether it was the answer that could not be written: such an error names no file."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    writers = ("click.utils", "rich.console")
    return last is not None and last.tb_frame.f_globals.get("__name__") in writers


def status_of(error: HarnessError) -> int:
    if isinstance(error, UsageError):
        return USAGE
    return FINDING if isinstance(error, GuestRefusal) else TESTBED


def _leave(text: str, status: int) -> NoReturn:
    # A guest may have had a hand in the text.
    from harness.results.text import printable

    with _unheard():
        click.echo(printable(text), err=True)
    sys.exit(status)


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """What stderr does not take, a full disk or a pipe, changes no status."""
    with contextlib.suppress(OSError):
        yield


def say(text: str) -> None:
    """Progress: on stderr, so that stdout is the answer alone."""
    click.echo(text, err=True)


def end_as_ctrl_c() -> None:
    """SIGTERM and a closed terminal end the command as Ctrl-C does: guests end with it.  What
    whoever started it had it ignore (``nohup``) stays ignored."""
    with contextlib.suppress(ValueError):  # not in the main thread
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
