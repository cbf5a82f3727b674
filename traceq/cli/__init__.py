"""The command line: `traceq COMMAND [ARGUMENT] [OPTIONS]`.

A command is a function of one frozen Struct. Its fields are annotated as typer parameters, or are themselves such
Structs (`source: SourceOptions`), whose fields are put in their place in the flat signature that typer reads. So
shared options are written once, mean the same everywhere, and reach the command as one value. A dataclass that knows
nothing of typer is annotated with the function that makes an option of each of its fields
(`Annotated[Thresholds, threshold_option]`).
"""

from __future__ import annotations

import errno
import gc
import inspect
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeGuard, TypeVar, get_args, get_origin, get_type_hints

import typer
from msgspec import NODEFAULT, Struct, structs
from typer.main import get_command

from traceq.cli.messages import tell_error
from traceq.errors import ExitCode, TraceqError, near

_QUESTIONS = "Analyze traces"
_SOURCES = "Explore and copy data"


class Command(NamedTuple):
    """Where a command is, known without importing it: importing it would cost more than listing all commands."""

    panel: str
    """The heading that the command is listed under."""
    summary: str
    """The first sentence of the command's help."""
    module: str = ""
    """The module of `traceq.cli` that holds a function with the command's name; empty where its name is the same."""


COMMANDS = {
    "search": Command(_QUESTIONS, "Find traces of one service, or of all services at once."),
    "show": Command(
        _QUESTIONS, "Draw a trace: its span tree with times, the critical path, errors, and what held it up."
    ),
    "bottlenecks": Command(
        _QUESTIONS, "Rank where the time of a service's requests goes, and show what slow ones do differently."
    ),
    "flame": Command(
        _QUESTIONS,
        "Merge the call paths of many requests to a flame graph: which calls of which callers the time goes to.",
    ),
    "report": Command(
        _QUESTIONS,
        "Write a page about the requests of a service: what is slow, why, since when, and who is hit.",
    ),
    "findings": Command(
        _QUESTIONS,
        "Find what is worth changing: N+1 queries, slow queries, retries, errors, stragglers, gaps and more.",
    ),
    "errors": Command(_QUESTIONS, "Find where errors begin: failed spans without a failed child, grouped by message."),
    "stats": Command(
        _QUESTIONS, "Measure spans by service, operation or tag: durations, self times, percentiles, errors, rates."
    ),
    "compare": Command(
        _QUESTIONS, "Say what changed: two windows of time, two files, two traces, or two parts of one set."
    ),
    "check": Command(_QUESTIONS, "Check traces against limits, and exit with code 6 if one is exceeded."),
    "deps": Command(_QUESTIONS, "Draw who calls whom, how often and how well, databases and brokers included."),
    "demo": Command(
        _SOURCES, "Show what traceq answers, on traces of a chat product that come with it; no server is needed."
    ),
    "open": Command(_SOURCES, "Open the page of a trace in Jaeger UI, or print its address."),
    "services": Command(_SOURCES, "List the services of the source."),
    "operations": Command(
        _SOURCES, "List the operations of a service, with their span kinds if the source knows them.", module="services"
    ),
    "fetch": Command(
        _SOURCES, 'Write what matches as Jaeger JSON, `{"data": [...]}`: traceq and Jaeger UI read it back.'
    ),
    "mcp": Command(_SOURCES, "Serve the questions of traceq as tools for agents (Model Context Protocol)."),
    "capture": Command(_SOURCES, "Run a command, keep the spans that it sends, and end with its exit code."),
    "archive": Command(_SOURCES, "Have the server keep traces for longer, in its archive storage."),
    "convert": Command(
        _SOURCES,
        "Write traces as Parquet, which is far smaller than JSON, as Jaeger JSON or OTLP JSON.",
    ),
}
"""In the order in which help lists them."""


_Options = TypeVar("_Options", bound=Struct)


def app_with(commands: Iterable[str]) -> typer.Typer:
    """Build the command line with these commands alone: only the command that runs is imported."""
    app = _bare_app()
    for name in commands:
        _add_command(app, imported(name), COMMANDS[name].panel)
    return app


def imported(name: str) -> Callable[[Any], None]:
    """Import the function of a command."""
    run: Callable[[Any], None] = getattr(import_module(f"traceq.cli.{COMMANDS[name].module or name}"), name)
    return run


def _add_command(app: typer.Typer, run: Callable[[_Options], None], panel: str) -> None:
    """Register a command under the function's name, with the function's docstring as its help.

    Args:
        app: Where to.
        run: What to do, given the options; its parameter is annotated with their Struct.
        panel: Heading in the list of commands.
    """
    options: type[_Options] = get_type_hints(run)["options"]

    def flat(**values: object) -> None:
        run(_build(options, values))

    signature = inspect.Signature(_parameters(options))
    flat.__signature__ = signature  # type: ignore[attr-defined]  # what inspect.signature looks for first
    flat.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    flat.__doc__ = _unwrapped(inspect.cleandoc(run.__doc__ or ""))
    app.command(run.__name__.strip("_"), rich_help_panel=panel)(flat)


def _unwrapped(text: str) -> str:
    """Put each paragraph on one line, which terminals wrap where they end; lists of examples stay as they are."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(text if "\n " in text else text.replace("\n", " ") for text in paragraphs)


OptionOf: TypeAlias = Callable[[Field[Any]], inspect.Parameter]
"""Makes an option of a field of a dataclass that knows nothing of typer."""


def _parameters(options: type[Struct]) -> list[inspect.Parameter]:
    """List the parameters of options and of those they hold, arguments before options."""
    defined = {field.name: field for field in structs.fields(options)}
    parameters: list[inspect.Parameter] = []
    for name, hint in _hints(options).items():
        held, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if _are_options(held):
            parameters += _parameters(held)
        elif is_dataclass(held):
            option_of: OptionOf = extras[0]
            parameters += map(option_of, fields(held))
        elif name in defined:
            parameters.append(_parameter(defined[name], hint))
    return parameters


@cache
def _hints(options: type[Any]) -> dict[str, Any]:
    """Give the annotations of fields, in the order in which help lists them."""
    return get_type_hints(options, include_extras=True)


def _are_options(held: Any) -> TypeGuard[type[Struct]]:
    return isinstance(held, type) and issubclass(held, Struct)


def _parameter(field: structs.FieldInfo, hint: object) -> inspect.Parameter:
    default = field.default if field.default_factory is NODEFAULT else field.default_factory()
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is NODEFAULT else default,
        annotation=hint,
    )


def _build(options: Any, values: Mapping[str, object]) -> Any:
    """Make options, and those they hold, of the values of a flat signature."""
    built = {}
    for name in options.__match_args__:
        hint = _hints(options)[name]
        held = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        built[name] = _build(held, values) if _are_options(held) or is_dataclass(held) else values[name]
    return options(**built)


def _list_of_commands() -> typer.Typer:
    """Build the command line for its list of commands alone, or to report that a command does not exist."""
    app = _bare_app()
    for name, command in COMMANDS.items():
        app.command(name, help=command.summary, rich_help_panel=command.panel)(_nothing)
    return app


def _bare_app() -> typer.Typer:
    app = typer.Typer(
        name="traceq",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback(epilog=_EPILOG)(_traceq)
    return app


def _nothing() -> None:
    """Stand in for a command that is listed but not run."""


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        # 65 ms, so only when asked.
        from importlib.metadata import version

        # The distribution has a name of its own: `traceq` on the package index is another project.
        typer.echo(f"traceq {version('traceq-jaeger')}")
        raise typer.Exit


_EPILOG = (
    "The default source is the server at http://localhost:16686; set TRACEQ_SOURCE or use --source to change it. "
    "Text is as wide as the terminal, and 120 columns in files and in pipes without one; COLUMNS sets another width. "
    "Exit codes: 0 answered, 2 usage error, 3 not found, 4 source failed, 5 input unreadable, 6 check failed, "
    "130 interrupted, 143 terminated."
)


def _traceq(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Ask a Jaeger server, or files of traces, which requests are slow, why, and who calls whom."""


_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO))
"""What standard output fails with: files that are named in options are told with their names."""


def run() -> None:
    """Run the command line of this process and exit."""
    # httpx would import its own command line, and with it click, pygments and all of rich: a sixteenth of a short run.
    # It does without where that cannot be imported.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # how Python is told so
    if sys.argv[1:2] != ["capture"]:
        # numpy would start a thread a core for products of matrices, which take no time here: a twentieth of a short
        # run. What `capture` starts has this environment too, and must not be told.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    is_terminated: list[bool] = []
    signal.signal(signal.SIGTERM, lambda _number, _frame: _terminate(is_terminated))
    code = main(sys.argv[1:])
    # Otherwise Python looks through all that is still there for garbage, twice, before it ends: 10 ms.
    gc.freeze()
    sys.exit(ExitCode.TERMINATED if is_terminated else code)


def _terminate(is_terminated: list[bool]) -> None:
    """End as by Ctrl-C, so that nothing stays in the temporary folder; once is enough."""
    if not is_terminated:
        is_terminated.append(True)
        raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns:
        The exit code; see `ExitCode`.
    """
    logging.getLogger("traceq").addHandler(logging.NullHandler())
    try:
        code = _app_for(arguments)(list(arguments) or ["--help"], prog_name="traceq", standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        ended = _told(error, arguments)
        if ended is None:
            raise
        return ended
    if code == ExitCode.INTERRUPTED:
        # Ctrl-C within a command: typer takes it for itself, and gives the code without a word.
        tell_error("interrupted")
    return code if isinstance(code, int) else ExitCode.ANSWERED


def _told(error: BaseException, arguments: Sequence[str]) -> int | None:
    """Say what ended a command, and give its exit code; None for what is not for people."""
    match error:
        case SystemExit() if not isinstance(error.__context__, BrokenPipeError):
            return None
        case SystemExit() | BrokenPipeError():
            # Of a closed pipe within a command typer makes an end with 1, as if there were a bug.
            return _leave_closed_pipe()
        case KeyboardInterrupt() | typer.Abort():
            tell_error("interrupted")
            return ExitCode.INTERRUPTED
        case typer.TyperException():
            message = error.format_message()
            tell_error(message, _usage_hint(arguments, message), getattr(error.__cause__, "pointed", ()))
            return ExitCode.USAGE
        case TraceqError() if isinstance(error.__context__, (BrokenPipeError, SystemExit)):
            # A command that failed besides keeps its own exit code.
            _leave_closed_pipe()
    return None if "--debug" in arguments else _told_failure(error)


def _told_failure(error: BaseException) -> int:
    if isinstance(error, TraceqError):
        tell_error(error.message, error.hint)
        return error.exit_code
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return _leave_full_output(error)
    tell_error(f"this is a bug in traceq: {type(error).__name__}: {error}", "--debug shows where")
    return ExitCode.BUG


def _app_for(arguments: Sequence[str]) -> Callable[..., object]:
    """Build what these arguments need: the command that they name, every command for completion, or the list."""
    first = arguments[0] if arguments else ""
    if first in COMMANDS:
        return _command_line(first)
    return app_with(COMMANDS) if "_TRACEQ_COMPLETE" in os.environ else _list_of_commands()


@cache
def _command_line(name: str) -> Callable[..., object]:
    """Build the command line with one command, once: notebooks and tests call `main` again and again."""
    return get_command(app_with((name,)))


_NOT_ONE_OF = re.compile(r"'(?P<told>[^']*)' is not one of (?P<known>'[^']*'(?:, '[^']*')*)")


def _usage_hint(arguments: Sequence[str], message: str = "") -> str:
    """Say what may be meant instead of a value that an option does not take, and how to see what it takes."""
    command = next((word for word in arguments if word in COMMANDS), "")
    shown = f"`traceq {command} --help` shows how" if command else "`traceq --help` lists the commands"
    refused = _NOT_ONE_OF.search(message)
    question = near(refused["told"], re.findall("'([^']*)'", refused["known"])).question if refused else ""
    return f"{question} {shown}" if question else shown


def _leave_closed_pipe() -> int:
    """Exit quietly when the reader closes the pipe (`traceq search | head`)."""
    # Python flushes standard output once more on exit; give it somewhere to go.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.ANSWERED


def _leave_full_output(error: OSError) -> int:
    """Say that standard output takes no more, and exit."""
    tell_error(f"cannot write the answer: {error.strerror}", "is the disk full?")
    _leave_closed_pipe()
    return ExitCode.USAGE
