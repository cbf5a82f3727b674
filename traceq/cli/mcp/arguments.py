"""What agents may say when they call a tool: flat arguments with descriptions, as dataclasses."""

from __future__ import annotations

import inspect
import time
from dataclasses import MISSING, dataclass, fields, replace
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import Field

from traceq.cli.options import FilterOptions, SourceOptions, WindowOptions
from traceq.cli.references import leads_to, parse_reference, span_id_in, without_user
from traceq.errors import ExitCode, Hint, NextCommand, TraceqError
from traceq.units import parse_duration, parse_lookback, parse_time

DEFAULT_BYTES = 2_000
"""Four answers of this size, the number that an incident should take, are 8 kB."""
_MOST_BYTES = 50_000


class ArgumentError(TraceqError):
    """Arguments that make no sense."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, kw_only=True)
class Room:
    """How much of an answer is wanted."""

    skip: Annotated[int, Field(ge=0, description="Leave out this many of the first items of the answer's list.")] = 0
    max_bytes: Annotated[
        int,
        Field(ge=500, le=_MOST_BYTES, description="Most bytes of the answer; lists are cut to fit, and say so."),
    ] = DEFAULT_BYTES


@dataclass(frozen=True, kw_only=True)
class Span:
    """When: of a server the last hour by default, of files everything."""

    lookback: Annotated[str | None, Field(description="How far back from the end: 15m, 1h, 2d.")] = None
    start: Annotated[str | None, Field(description="Start: -2h, 2026-11-22T14:00:00Z, or an epoch time.")] = None
    end: Annotated[str | None, Field(description="End, as for the start; now by default.")] = None

    def when(self) -> WindowOptions:
        """Give the same as the command line takes it.

        Raises:
            ValueError: If one of them cannot be read.
        """
        now_ns = time.time_ns()
        return WindowOptions(
            None if self.lookback is None else parse_lookback(self.lookback, now_ns),
            None if self.start is None else parse_time(self.start, now_ns),
            None if self.end is None else parse_time(self.end, now_ns),
        )


@dataclass(frozen=True, kw_only=True)
class Filters(Span):
    """Which traces."""

    service: Annotated[str | None, Field(description="Name of a service, exact; by default all.")] = None
    operation: Annotated[str | None, Field(description="Name of an operation, exact.")] = None
    tags: Annotated[
        list[str] | None, Field(description="Attributes that a span has to have: key=value, or key~regular expression.")
    ] = None
    where: Annotated[
        str | None,
        Field(
            description="Condition on the matching span: 'http.status_code >= 500 and not operation ~ \"^GET /x\"'. "
            "Names: service, operation, kind, status, error, duration, event, or an attribute; also in (a, b), exists."
        ),
    ] = None
    error: Annotated[bool, Field(description="Only traces with a failed span.")] = False
    min_duration: Annotated[str | None, Field(description="Shortest matching span: 500ms, 1.5s.")] = None
    min_spans: Annotated[int | None, Field(ge=1, description="Only traces of at least this many spans.")] = None
    not_operations: Annotated[
        list[str] | None, Field(description="Operations, or service:operation, whose requests are left out.")
    ] = None
    limit: Annotated[
        int | None, Field(ge=1, description="At most this many traces are looked at, the newest ones.")
    ] = None

    def filters(self) -> FilterOptions:
        """Give the same as the command line takes it.

        Raises:
            ValueError: If a duration or a time cannot be read.
        """
        return FilterOptions(
            operation=self.operation,
            tag=self.tags,
            where=None if self.where is None else [self.where],
            error=self.error,
            min_duration=None if self.min_duration is None else parse_duration(self.min_duration),
            min_spans=self.min_spans,
            not_operation=self.not_operations,
            when=self.when(),
            limit=self.limit,
        )


@dataclass(frozen=True, kw_only=True)
class Listing(Span, Room):
    """Arguments of `services`."""


@dataclass(frozen=True, kw_only=True)
class Search(Filters, Room):
    """Arguments of `search`."""

    order: Annotated[
        Literal["recent", "slowest"], Field(description="The newest traces, or the slowest of the window.")
    ] = "recent"
    count: Annotated[int, Field(ge=1, le=200, description="Number of traces to list.")] = 10


@dataclass(frozen=True, kw_only=True)
class Requests(Filters, Room):
    """Arguments of questions about requests: of a service, of everybody, or in one trace."""

    trace_id: Annotated[
        str | None, Field(description="Only this trace, instead of those that match: its id in any form, or a link.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class OneTrace(Room):
    """Arguments of questions about one trace."""

    trace_id: Annotated[
        str,
        Field(
            description="The id of the trace in any form (digits, the first digits if only one trace has them, a link, "
            "a traceparent)."
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class OneSpan(OneTrace):
    """Arguments of `span_details`."""

    span_id: Annotated[str, Field(description="The id of the span, as other answers give it.")]


@dataclass(frozen=True, kw_only=True)
class Sides(Room):
    """Arguments of `compare`: two windows of time, or one set of traces that is split."""

    service: Annotated[str | None, Field(description="Whose requests; by default every trace is one request.")] = None
    before: Annotated[
        str | None, Field(description="Window START..END of the good time: -2h..-1h, 'yesterday 14:00..15:00'.")
    ] = None
    after: Annotated[str | None, Field(description="Window of the bad time: -1h..now.")] = None
    split: Annotated[
        str | None,
        Field(
            description="Instead of windows: `slow` (the slowest 5 % against the others), `failed` (failed traces "
            "against the others), or a tag (resource.service.version, or with a value http.method=GET)."
        ),
    ] = None
    lookback: Annotated[str | None, Field(description="With `split`: how far back traces are taken from.")] = None
    limit: Annotated[int | None, Field(ge=1, description="At most this many traces of each window.")] = None


_Arguments = TypeVar("_Arguments", bound=Room)


def with_plain_ids(arguments: _Arguments, source: SourceOptions) -> _Arguments:
    """Give the same with the ids that were meant, whatever form they have.

    Raises:
        ArgumentError: If what is given for a trace is no id, or a link to another server than the source.
        ValueError: If it cannot be read.
    """
    found: dict[str, Any] = {}
    if isinstance(arguments, (Requests, OneTrace)) and arguments.trace_id is not None:
        found["trace_id"] = _trace_id(arguments.trace_id, source)
    if isinstance(arguments, OneSpan):
        found["span_id"] = span_id_in(arguments.span_id, "span_id")
    return replace(arguments, **found)


def _trace_id(text: str, source: SourceOptions) -> str:
    """Take the id that is meant.

    A name of a file, which the command line takes too, is refused, and so is any server but the one that was given:
    it is the person who starts the tools that decides what agents may read.

    Raises:
        ArgumentError: If it is none, or a link that leads to another server than the source.
        ValueError: If it cannot be read.
    """
    reference = parse_reference(text)
    if not reference.is_known:
        raise ArgumentError(
            f"'{reference.trace_id}' is no id of a trace", hint=Hint((NextCommand(("search",)), " gives ids"))
        )
    if reference.location and not leads_to(reference.location, source):
        server, own = without_user(reference.location), without_user(source.locations[0])
        elsewhere = NextCommand(("mcp",), (server,))
        raise ArgumentError(
            f"the link leads to {server}, but these tools ask {own} alone",
            hint=Hint((elsewhere, f" asks that server; if {own} has the trace, give its id")),
        )
    return reference.trace_id


def parameters(arguments: type[Any]) -> list[inspect.Parameter]:
    """List the parameters of a tool from the fields of its arguments."""
    hints = get_type_hints(arguments, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
            annotation=hints[each.name],
        )
        for each in fields(arguments)
    ]
