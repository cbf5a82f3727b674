"""The command line: `traceq COMMAND [ARGUMENT] [OPTIONS]`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated

import typer

from traceq.cli.command import add_command
from traceq.cli.messages import tell_error
from traceq.errors import ExitCode, TraceqError

_QUESTIONS = "Questions"
_SOURCES = "What there is"

COMMANDS = {
    "search": ("traceq.cli.search", _QUESTIONS),
    "show": ("traceq.cli.show", _QUESTIONS),
    "bottlenecks": ("traceq.cli.bottlenecks", _QUESTIONS),
    "findings": ("traceq.cli.findings", _QUESTIONS),
    "errors": ("traceq.cli.errors", _QUESTIONS),
    "stats": ("traceq.cli.stats", _QUESTIONS),
    "compare": ("traceq.cli.compare", _QUESTIONS),
    "check": ("traceq.cli.check", _QUESTIONS),
    "deps": ("traceq.cli.deps", _QUESTIONS),
    "services": ("traceq.cli.services", _SOURCES),
    "operations": ("traceq.cli.services", _SOURCES),
    "fetch": ("traceq.cli.fetch", _SOURCES),
    "convert": ("traceq.cli.convert", _SOURCES),
}
"""Each command's module, where a function of its name is it, and its heading; in the order in which help lists them."""


def app_with(commands: Iterable[str]) -> typer.Typer:
    """Build the command line with just these commands: each costs its module's import, so one that runs comes alone."""
    app = typer.Typer(
        name="traceq",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback(epilog=_EPILOG)(_traceq)
    for name in commands:
        module, panel = COMMANDS[name]
        add_command(app, getattr(import_module(module), name), panel)
    return app


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        # 65 ms, so only when asked.
        from importlib.metadata import version

        typer.echo(f"traceq {version('traceq')}")
        raise typer.Exit


_EPILOG = (
    "Without --source a server at http://localhost:16686 is asked; TRACEQ_SOURCE changes that. "
    "Exit codes: 0 answered, 2 usage, 3 not found, 4 source failed, 5 input unreadable, 6 check failed, "
    "130 interrupted."
)


def _traceq(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Ask a Jaeger server, or files of traces, which requests are slow, why, and who calls whom."""


def run() -> None:
    """Run the command line of this process and exit."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns:
        The exit code; see `ExitCode`.
    """
    is_debug = "--debug" in arguments
    logging.getLogger("traceq").addHandler(logging.NullHandler())
    try:
        code = _app_for(arguments)(list(arguments) or ["--help"], prog_name="traceq", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        tell_error(error.format_message(), _usage_hint(arguments))
        return ExitCode.USAGE
    except TraceqError as error:
        if is_debug:
            raise
        tell_error(error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:
        return _leave_closed_pipe()
    except (KeyboardInterrupt, typer.Abort):
        tell_error("interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:
        if is_debug:
            raise
        tell_error(f"this is a bug in traceq: {type(error).__name__}: {error}", "--debug shows where")
        return ExitCode.BUG
    return code if isinstance(code, int) else ExitCode.ANSWERED


def _app_for(arguments: Sequence[str]) -> typer.Typer:
    """Build what these arguments need: the command they begin with, or all of them for help and completion."""
    first = arguments[0] if arguments else ""
    return app_with((first,) if first in COMMANDS else COMMANDS)


def _usage_hint(arguments: Sequence[str]) -> str:
    command = next((word for word in arguments if word in COMMANDS), "")
    return f"`traceq {command} --help` shows how" if command else "`traceq --help` lists the commands"


def _leave_closed_pipe() -> int:
    """End quietly when the reader has had enough (`traceq search | head`)."""
    # Python flushes standard output once more on exit; give it somewhere to go.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.ANSWERED
