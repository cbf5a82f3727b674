"""The options that commands share: written once, the same everywhere, Jaeger's own words."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from traceq.catalog import Window
from traceq.query import DEFAULT_LIMIT, TraceQuery, parse_tags
from traceq.render import AnswerFormat, Format, TracesFormat
from traceq.sources.interface import ConnectionOptions
from traceq.units import NS_PER_HOUR, parse_duration, parse_share, parse_size, parse_time

if TYPE_CHECKING:
    from traceq.analysis.requests import RequestOptions
    from traceq.engine import Workers

DEFAULT_SOURCE = "http://localhost:16686"
DEFAULT_LOOKBACK_NS = NS_PER_HOUR

_SOURCE = "Source"
FILTER = "Which traces"
_CONNECTION = "Connection"
_OUTPUT = "Output"


def duration(text: str) -> int:
    """Read a duration typed on the command line."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def timestamp(text: str) -> int:
    """Read a point in time typed on the command line, relative to now."""
    try:
        return parse_time(text, time.time_ns())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def share(text: str) -> float:
    """Read a share typed on the command line, as a percentage or a part of one."""
    try:
        return parse_share(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


DEFAULT_ROTATE = "500MB"


def size(text: str) -> int:
    """Read a size typed on the command line, in bytes."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Measure = Literal["critical-time", "self-time", "duration"]

MeasureOption = Annotated[
    Measure,
    typer.Option(
        "--by",
        # As `<critical-time|self-time|duration>` it takes the room of option names in 80 columns.
        metavar="MEASURE",
        help="What ranks spans: critical-time (on the critical path), self-time (without children) or duration.",
    ),
]

SkewOption = Annotated[
    bool, typer.Option("--no-skew-correction", help="Do not correct clock differences between hosts.")
]

WholeTraceOption = Annotated[
    bool, typer.Option("--whole-trace", help="Start at the roots of traces, not at the service's entry spans.")
]

StreamsOption = Annotated[
    bool,
    typer.Option("--include-streams", help="Also count connections that stay open (event streams, websockets)."),
]

NotOperationOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Exclude requests of this operation, or of service:operation; repeatable.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class RequestsOptions:
    """What a request is, and which clocks tell how long it took; whose requests they are is up to the command."""

    whole_trace: WholeTraceOption = False
    include_streams: StreamsOption = False
    not_operation: NotOperationOption = None
    no_skew_correction: SkewOption = False

    def of(self, service: str | None, by: Measure = "critical-time") -> RequestOptions:
        """Give which requests to look at, and how.

        Args:
            service: Whose; None where every trace is one request.
            by: What ranks and flags spans, where something does.
        """
        # Late: it needs numpy, and option objects are imported for --help.
        from traceq.analysis.requests import RequestOptions

        return RequestOptions(
            service,
            self.whole_trace,
            by,
            correct_skew=not self.no_skew_correction,
            include_streams=self.include_streams,
            without_operations=tuple(self.not_operation or ()),
        )


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Where traces come from, and how to get at them."""

    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            "-s",
            metavar="URL|PATH|-",
            help="Jaeger server, files, directories, or - for standard input; repeatable for files. "
            f"By default TRACEQ_SOURCE, else {DEFAULT_SOURCE}.",
            rich_help_panel=_SOURCE,
        ),
    ] = None
    token: Annotated[
        str | None,
        typer.Option(envvar="TRACEQ_TOKEN", metavar="TOKEN", help="Bearer token.", rich_help_panel=_CONNECTION),
    ] = None
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="'NAME: VALUE'", help="Extra HTTP header; repeatable.", rich_help_panel=_CONNECTION),
    ] = None
    basic: Annotated[
        str | None,
        typer.Option(
            envvar="TRACEQ_BASIC", metavar="USER:PASSWORD", help="Basic authentication.", rich_help_panel=_CONNECTION
        ),
    ] = None
    tenant: Annotated[
        str | None,
        typer.Option(
            envvar="TRACEQ_TENANT", metavar="NAME", help="Tenant (header x-tenant).", rich_help_panel=_CONNECTION
        ),
    ] = None
    ca_cert: Annotated[
        str | None,
        typer.Option(
            envvar="TRACEQ_CA_CERT",
            metavar="FILE",
            help="Trusted certificate authorities.",
            rich_help_panel=_CONNECTION,
        ),
    ] = None
    cert: Annotated[
        str | None,
        typer.Option(envvar="TRACEQ_CERT", metavar="FILE", help="Client certificate.", rich_help_panel=_CONNECTION),
    ] = None
    key: Annotated[
        str | None,
        typer.Option(envvar="TRACEQ_KEY", metavar="FILE", help="Client key.", rich_help_panel=_CONNECTION),
    ] = None
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Accept any server certificate.", rich_help_panel=_CONNECTION),
    ] = False
    timeout: Annotated[
        int,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Longest wait for an answer.",
            rich_help_panel=_CONNECTION,
        ),
    ] = "30s"  # type: ignore[assignment]  # defaults go through the parser as if typed

    @property
    def locations(self) -> tuple[str, ...]:
        """Where to read: what was typed, else the environment, else the default."""
        return tuple(self.source or [os.environ.get("TRACEQ_SOURCE") or DEFAULT_SOURCE])

    @property
    def connection(self) -> ConnectionOptions:
        """How to reach a server.

        Raises:
            typer.BadParameter: If a header has no colon.
        """
        return ConnectionOptions(
            headers=tuple(_header(text) for text in self.header or ()),
            token=self.token,
            basic=self.basic,
            tenant=self.tenant,
            ca_cert=self.ca_cert,
            cert=self.cert,
            key=self.key,
            is_insecure=self.insecure,
            timeout_ns=self.timeout,
        )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        # The value may be a secret: it is not repeated.
        raise typer.BadParameter("a header is written 'Name: value'", param_hint="--header")
    return name.strip(), value.strip()


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """The time window."""

    lookback: Annotated[
        int | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="How far to look back from the end: 15m, 1h, 2d. By default 1h for a server, everything for files.",
            rich_help_panel=FILTER,
        ),
    ] = None
    start: Annotated[
        int | None,
        typer.Option(
            parser=timestamp,
            metavar="TIME",
            help="Start of the window: -2h, 2026-11-22T14:00:00Z, or an epoch time.",
            rich_help_panel=FILTER,
        ),
    ] = None
    end: Annotated[
        int | None,
        typer.Option(
            parser=timestamp, metavar="TIME", help="End of the window; now by default.", rich_help_panel=FILTER
        ),
    ] = None

    @property
    def effective_lookback(self) -> int | None:
        """How far back a server is asked; None when start or end were told."""
        if self.start is not None or self.end is not None:
            return None
        return DEFAULT_LOOKBACK_NS if self.lookback is None else self.lookback

    def window(self, *, is_live: bool) -> Window:
        """Give the window of time; for a server it always has two ends, for files only those that were typed.

        Raises:
            typer.BadParameter: If a lookback and a start are given, or the window ends before it starts.
        """
        if self.lookback is not None and self.start is not None:
            raise typer.BadParameter("give --lookback or --start, not both", param_hint="--lookback")
        end = self.end
        if end is None and (is_live or self.lookback is not None):
            end = time.time_ns()
        start = self.start
        if start is None and end is not None and (is_live or self.lookback is not None):
            start = end - (DEFAULT_LOOKBACK_NS if self.lookback is None else self.lookback)
        if start is not None and end is not None and start > end:
            raise typer.BadParameter("the window ends before it starts", param_hint="--start")
        return Window(start, end, lookback_ns=self.effective_lookback if is_live else None)


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """The conditions on traces, apart from the service."""

    operation: Annotated[
        str | None,
        typer.Option("--operation", metavar="NAME", help="Name of the operation, exact.", rich_help_panel=FILTER),
    ] = None
    tag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help='Attribute of a span; repeatable. Logfmt works: error=true http.method=GET note="a b".',
            rich_help_panel=FILTER,
        ),
    ] = None
    error: Annotated[bool, typer.Option("--error", help="Only traces with a failed span.", rich_help_panel=FILTER)] = (
        False
    )
    min_duration: Annotated[
        int | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Shortest matching span: 500ms, 1.5s.",
            rich_help_panel=FILTER,
        ),
    ] = None
    max_duration: Annotated[
        int | None,
        typer.Option(parser=duration, metavar="DURATION", help="Longest matching span.", rich_help_panel=FILTER),
    ] = None
    min_trace_duration: Annotated[
        int | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Shortest whole trace.",
            rich_help_panel=FILTER,
        ),
    ] = None
    max_trace_duration: Annotated[
        int | None,
        typer.Option(parser=duration, metavar="DURATION", help="Longest whole trace.", rich_help_panel=FILTER),
    ] = None
    when: WindowOptions = field(default_factory=WindowOptions)
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="At most this many traces, newest first; all of them by default for files.",
            rich_help_panel=FILTER,
        ),
    ] = None

    def query(self, service: str | None, *, is_live: bool, default_limit: int = DEFAULT_LIMIT) -> TraceQuery:
        """Give the conditions as a query.

        Args:
            service: Of the matching span; None for any.
            is_live: Whether a server is asked, so that window and limit have defaults.
            default_limit: How many of its traces are asked for where nobody says.

        Raises:
            typer.BadParameter: If they contradict each other.
        """
        try:
            return TraceQuery(
                service=service,
                operation=self.operation,
                attributes=tuple(pair for text in self.tag or () for pair in parse_tags(text)),
                has_error=self.error,
                min_duration_ns=self.min_duration,
                max_duration_ns=self.max_duration,
                min_trace_duration_ns=self.min_trace_duration,
                max_trace_duration_ns=self.max_trace_duration,
                window=self.when.window(is_live=is_live),
                limit=self.limit or (default_limit if is_live else None),
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error


@dataclass(frozen=True, slots=True)
class WorkersOptions:
    """How files are read."""

    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            metavar="N",
            help="Number of processes that read files; by default one per core, fewer for small files.",
        ),
    ] = None
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS|local",
            help="Dask cluster that reads files, instead of local processes.",
        ),
    ] = None

    @property
    def workers(self) -> Workers:
        """Give the same as the engine takes it."""
        # Late: commands that only list need no engine.
        from traceq.engine import Workers

        return Workers(self.jobs, self.dask)


_FORMAT_HELP = "Output format; by default as the suffix of --output says, else text."


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How and where the answer is written, and how much is said besides."""

    format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            # All of them in the name of the value would be broken within a word in 80 columns.
            metavar="FORMAT",
            help=f"{', '.join(get_args(Format))}; by default as the suffix of --output says, else text.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the answer to this file.", rich_help_panel=_OUTPUT),
    ] = None
    no_color: Annotated[
        bool, typer.Option("--no-color", help="Use no colours, as with NO_COLOR.", rich_help_panel=_OUTPUT)
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print no warnings, hints or progress.", rich_help_panel=_OUTPUT)
    ] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every request and count.", rich_help_panel=_OUTPUT)
    ] = False
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails.", rich_help_panel=_OUTPUT)
    ] = False


@dataclass(frozen=True, slots=True)
class AnswerOutputOptions(OutputOptions):
    """The same for answers that are no graphs."""

    format: Annotated[
        AnswerFormat | None, typer.Option("--format", "-f", help=_FORMAT_HELP, rich_help_panel=_OUTPUT)
    ] = None


@dataclass(frozen=True, slots=True)
class TracesOutputOptions(OutputOptions):
    """The same for traces themselves."""

    format: Annotated[
        TracesFormat | None,
        typer.Option(
            "--format",
            "-f",
            help="Output format; by default as the suffix of --output says, else json.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None
