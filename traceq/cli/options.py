"""The options that commands share: written once, the same everywhere, Jaeger's own words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from msgspec import Struct, field, structs

from traceq.catalog import Window
from traceq.cli.typed import parse_condition, parse_tags, refuse_place
from traceq.errors import TraceqError
from traceq.query import DEFAULT_LIMIT, TraceQuery
from traceq.sources.interface import ConnectionOptions
from traceq.units import (
    NS_PER_HOUR,
    NS_PER_MINUTE,
    Lookback,
    format_time,
    parse_duration,
    parse_lookback,
    parse_share,
    parse_size,
    parse_time,
)
from traceq.where import ConditionError, both, parse_where

if TYPE_CHECKING:
    from traceq.analysis.requests import RequestOptions
    from traceq.engine import Workers

DEFAULT_SOURCE = "http://localhost:16686"
DEFAULT_LOOKBACK_NS = NS_PER_HOUR
_CLOCKS_AHEAD_NS = 5 * NS_PER_MINUTE
"""Where no end is given, spans of hosts whose clocks are ahead of this one are not left out."""
DEFAULT_ROTATE = "500MB"

_Value = TypeVar("_Value")


def parser(read: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """Make a function that reads typed text into one for options: its ValueError becomes a usage error."""

    @wraps(read)
    def parse(text: str) -> _Value:
        try:
            return read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parse


duration = parser(parse_duration)
share = parser(parse_share)

DURATION: dict[str, Any] = {"parser": duration, "metavar": "DURATION"}
"""What options that take a duration have in common."""
SIZE: dict[str, Any] = {"parser": parser(parse_size), "metavar": "SIZE"}
"""What options that take a size have in common."""
_TIME: dict[str, Any] = {"parser": parser(lambda text: parse_time(text, time.time_ns())), "metavar": "TIME"}
_LOOKBACK: dict[str, Any] = {
    "parser": parser(lambda text: parse_lookback(text, time.time_ns())),
    "metavar": "DURATION",
}

_source_option = partial(typer.Option, rich_help_panel="Source")
_connection_option = partial(typer.Option, rich_help_panel="Connection")
_filter_option = partial(typer.Option, rich_help_panel="Which traces")

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

TraceOption = Annotated[
    str | None, typer.Option("--trace", metavar="ID", help="Only this trace: its id in any form, or a link.")
]


class RequestsOptions(Struct, frozen=True):
    """What a request is, and which clocks tell how long it took; whose requests they are is up to the command."""

    whole_trace: Annotated[
        bool, typer.Option("--whole-trace", help="Start at the roots of traces, not at the service's entry spans.")
    ] = False
    include_streams: Annotated[
        bool,
        typer.Option("--include-streams", help="Also count connections that stay open (event streams, websockets)."),
    ] = False
    no_skew_correction: SkewOption = False

    def of(
        self, service: str | None, by: Measure = "critical-time", *, without: Sequence[str] | None = None
    ) -> RequestOptions:
        """Give which requests to look at, and how.

        Args:
            service: Whose; None where every trace is one request.
            by: What ranks and flags spans, where something does.
            without: Operations whose requests are left out, as `--not-operation` has them.
        """
        # Late: it needs numpy, and option objects are imported for --help.
        from traceq.analysis.requests import RequestOptions

        return RequestOptions(
            service,
            self.whole_trace,
            by,
            correct_skew=not self.no_skew_correction,
            include_streams=self.include_streams,
            without_operations=tuple(without or ()),
        )


class SourceOptions(Struct, frozen=True):
    """Where traces come from, and how to get at them."""

    source: Annotated[
        list[str] | None,
        _source_option(
            "--source",
            "-s",
            metavar="URL|PATH|-",
            help="Jaeger server, files, directories, or - for standard input; repeatable for files. "
            f"By default TRACEQ_SOURCE, else {DEFAULT_SOURCE}.",
        ),
    ] = None
    token: Annotated[str | None, _connection_option(metavar="TOKEN", help="Bearer token; by default TRACEQ_TOKEN.")] = (
        None
    )
    header: Annotated[
        list[str] | None, _connection_option(metavar="'NAME: VALUE'", help="Extra HTTP header; repeatable.")
    ] = None
    basic: Annotated[
        str | None,
        _connection_option(metavar="USER:PASSWORD", help="Basic authentication; by default TRACEQ_BASIC."),
    ] = None
    tenant: Annotated[
        str | None, _connection_option(metavar="NAME", help="Tenant (header x-tenant); by default TRACEQ_TENANT.")
    ] = None
    ca_cert: Annotated[
        str | None,
        _connection_option(envvar="TRACEQ_CA_CERT", metavar="FILE", help="Trusted certificate authorities."),
    ] = None
    cert: Annotated[
        str | None, _connection_option(metavar="FILE", help="Client certificate; by default TRACEQ_CERT.")
    ] = None
    key: Annotated[str | None, _connection_option(metavar="FILE", help="Client key; by default TRACEQ_KEY.")] = None
    insecure: Annotated[bool, _connection_option("--insecure", help="Accept any server certificate.")] = False
    timeout: Annotated[int, _connection_option(help="Longest wait for an answer.", **DURATION)] = "30s"  # type: ignore[assignment]  # defaults go through the parser as if typed

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
            token=self._secret("token"),
            basic=self._secret("basic"),
            tenant=self._secret("tenant"),
            ca_cert=self.ca_cert,
            cert=self._secret("cert"),
            key=self._secret("key"),
            is_insecure=self.insecure,
            timeout_ns=self.timeout,
        )

    def _secret(self, name: str) -> str | None:
        """Give what was typed, else what the environment has; an empty text is none."""
        typed = getattr(self, name)
        return (os.environ.get(_SECRETS[name]) if typed is None else typed) or None

    @property
    def secrets_of_environment(self) -> tuple[str, ...]:
        """The variables of the environment from which the server would learn who asks."""
        return tuple(
            variable for name, variable in _SECRETS.items() if getattr(self, name) is None and os.environ.get(variable)
        )

    def without_environment(self) -> SourceOptions:
        """Give the same with what was typed alone: secrets of the environment are for the server it names."""
        typed: dict[str, Any] = {name: getattr(self, name) or "" for name in _SECRETS}
        return structs.replace(self, **typed)


_SECRETS = {
    "token": "TRACEQ_TOKEN",
    "basic": "TRACEQ_BASIC",
    "tenant": "TRACEQ_TENANT",
    "cert": "TRACEQ_CERT",
    "key": "TRACEQ_KEY",
}
"""The options by which a server knows who asks, and the variables they come from where nothing was typed.

They are read when a connection is made, not by typer: from which of the two a value came decides where it may go.
"""


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        # The value may be a secret: it is not repeated.
        raise typer.BadParameter("a header is written 'Name: value'", param_hint="--header")
    return name.strip(), value.strip()


_COMPLETION_PATIENCE_NS = 1_500_000_000
"""A shell that hangs on Tab is worse than one that offers nothing."""


def _complete_service(incomplete: str) -> list[str]:
    """Offer the services of the source in the environment that begin like this; none when it cannot be asked."""
    # Late: completion alone needs it here.
    from traceq.sources import open_source

    location = os.environ.get("TRACEQ_SOURCE") or DEFAULT_SOURCE
    options = replace(SourceOptions().connection, timeout_ns=_COMPLETION_PATIENCE_NS)
    try:
        names = open_source((location,), options).services()
    except TraceqError:
        return []  # nothing to offer; the command itself will say what is wrong
    return [name for name in names if name.startswith(incomplete)]


service_argument = partial(typer.Argument, metavar="[SERVICE]", autocompletion=_complete_service)
_service_option = partial(_filter_option, "--service", metavar="NAME", autocompletion=_complete_service)
_ANY_SERVICE = "Name of the service, exact; all of them by default."

ServiceOption = Annotated[str | None, _service_option(help=_ANY_SERVICE)]


class ServiceOptions(Struct, frozen=True):
    """A service, by position or as an option, with the names that the source knows offered on Tab."""

    service: Annotated[str | None, service_argument(help=_ANY_SERVICE)] = None
    service_option: Annotated[str | None, _service_option(help="The same as the argument SERVICE.")] = None

    @property
    def name(self) -> str | None:
        """The service; None where none was given.

        Raises:
            typer.BadParameter: If two different ones were given, or it is a file or an address.
        """
        if None not in (self.service, self.service_option) and self.service != self.service_option:
            told = (
                f"'{self.service}' is given as the argument and '{self.service_option}' as the option: give one of them"
            )
            raise typer.BadParameter(told, param_hint="--service")
        name = self.service if self.service_option is None else self.service_option
        refuse_place(name, "SERVICE" if self.service_option is None else "--service")
        return name


class RequestServiceOptions(ServiceOptions, frozen=True):
    """The service whose requests a command looks at."""

    service: Annotated[
        str | None, service_argument(help="Service whose requests to look at; by default every trace is one request.")
    ] = None


class WindowOptions(Struct, frozen=True):
    """The time window."""

    lookback: Annotated[
        Lookback | None,
        _filter_option(
            help="How far to look back from the end: 15m, 1h, 2d, or since when: yesterday, 14:00. By default 1h for a "
            "server, everything for files.",
            **_LOOKBACK,
        ),
    ] = None
    start: Annotated[
        int | None,
        _filter_option(
            help="Start of the window: -2h, yesterday 14:00, monday, 2026-11-22T14:00:00Z, or an epoch.", **_TIME
        ),
    ] = None
    end: Annotated[int | None, _filter_option(help="End of the window; now by default.", **_TIME)] = None

    @property
    def effective_lookback(self) -> int | None:
        """How far back a server is asked; None when start or end were told."""
        if self.start is not None or self.end is not None:
            return None
        return self._length_ns

    @property
    def _length_ns(self) -> int:
        return DEFAULT_LOOKBACK_NS if self.lookback is None else self.lookback.length_ns

    def window(self, *, is_live: bool) -> Window:
        """Give the window of time; for a server it always has two ends, for files only those that were typed.

        Raises:
            typer.BadParameter: If a lookback and a start are given, or the window ends before it starts.
        """
        if self.lookback is not None and self.start is not None:
            raise typer.BadParameter("give --lookback or --start, not both", param_hint="--lookback")
        end = self.end
        now = time.time_ns()
        if end is None and (is_live or self.lookback is not None):
            end = now + _CLOCKS_AHEAD_NS if is_live else now
        start = self.start if self.lookback is None else self.lookback.start_ns
        if start is None and end is not None and (is_live or self.lookback is not None):
            start = (now if self.end is None else end) - self._length_ns
        if start is not None and end is not None and start > end:
            told = f"the window ends, at {format_time(end)}, before it starts, at {format_time(start)}"
            raise typer.BadParameter(told, param_hint="--start" if self.lookback is None else "--lookback")
        return Window(start, end, lookback_ns=self.effective_lookback if is_live else None)


class FilterOptions(Struct, frozen=True):
    """The conditions on traces, apart from the service."""

    operation: Annotated[
        str | None,
        _filter_option("--operation", metavar="NAME", help="Name of the operation, as it is or as answers show it."),
    ] = None
    tag: Annotated[
        list[str] | None,
        _filter_option(
            metavar="KEY=VALUE",
            help="Attribute of a span; repeatable. Also several (error=true http.method=GET), values with blanks, and "
            "key~pattern: a regular expression (Python) searched for in the value; key>=500, key!=value, key exists, "
            "not key=value.",
        ),
    ] = None
    where: Annotated[
        list[str] | None,
        _filter_option(
            metavar="CONDITION",
            help="Condition on the matching span, repeatable: 'http.status_code >= 500 and not operation ~ \"^GET "
            "/health\"'; docs/where.md has the grammar.",
        ),
    ] = None
    error: Annotated[bool, _filter_option("--error", help="Only traces with a failed span.")] = False
    min_duration: Annotated[int | None, _filter_option(help="Shortest matching span: 500ms, 1.5s.", **DURATION)] = None
    max_duration: Annotated[int | None, _filter_option(help="Longest matching span.", **DURATION)] = None
    min_trace_duration: Annotated[int | None, _filter_option(help="Shortest whole trace.", **DURATION)] = None
    max_trace_duration: Annotated[int | None, _filter_option(help="Longest whole trace.", **DURATION)] = None
    min_spans: Annotated[int | None, _filter_option(min=1, metavar="N", help="Only traces of at least N spans.")] = None
    not_operation: Annotated[
        list[str] | None,
        _filter_option(
            metavar="NAME",
            help="Leave out requests of this operation, or of service:operation; repeatable.",
            show_default=False,
        ),
    ] = None
    when: WindowOptions = field(default_factory=WindowOptions)
    limit: Annotated[
        int | None,
        _filter_option(
            min=1, metavar="N", help="At most this many traces, newest first; all of them by default for files."
        ),
    ] = None

    def query(
        self,
        service: str | None,
        *,
        is_live: bool,
        default_limit: int = DEFAULT_LIMIT,
        requests: RequestsOptions | None = None,
    ) -> TraceQuery:
        """Give the conditions as a query.

        Args:
            service: Of the matching span; None for any.
            is_live: Whether a server is asked, so that window and limit have defaults.
            default_limit: How many of its traces are asked for where nobody says.
            requests: What a request is, where the question is about requests.

        Raises:
            typer.BadParameter: If they contradict each other.
        """
        try:
            conditions = [parse_condition(text) for text in self.tag or ()]
            wheres = [*(each for each in conditions if each is not None), *map(parse_where, self.where or ())]
            tags = [parse_tags(text) for text, where in zip(self.tag or (), conditions, strict=True) if where is None]
            return TraceQuery(
                service=service,
                operation=self.operation,
                attributes=tuple(pair for values, _ in tags for pair in values),
                tag_patterns=tuple(pair for _, patterns in tags for pair in patterns),
                has_error=self.error,
                where=both(wheres),
                min_span_count=self.min_spans,
                without_operations=tuple(self.not_operation or ()),
                has_whole_traces=requests is not None and requests.whole_trace,
                min_duration_ns=self.min_duration,
                max_duration_ns=self.max_duration,
                min_trace_duration_ns=self.min_trace_duration,
                max_trace_duration_ns=self.max_trace_duration,
                window=self.when.window(is_live=is_live),
                limit=self.limit or (default_limit if is_live else None),
            )
        except ConditionError as error:
            option = "--where" if error.text in (self.where or ()) else "--tag"
            raise typer.BadParameter(str(error), param_hint=option) from error
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error


class WorkersOptions(Struct, frozen=True):
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
            "--dask", metavar="ADDRESS|local", help="Dask cluster that reads files, instead of local processes."
        ),
    ] = None

    @property
    def workers(self) -> Workers:
        """Give the same as the engine takes it."""
        # Late: commands that only list need no engine.
        from traceq.engine import Workers

        return Workers(self.jobs, self.dask)
