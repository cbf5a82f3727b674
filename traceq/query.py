"""Queries: conditions on traces, whether a trace meets them, and what there is to say about the answer of a source.

A server's answer is a candidate set: Cassandra and Badger match tags on different spans, Elasticsearch reads values as
regular expressions, old v3 servers ignore attributes. `matching` decides here, by one meaning for every source: some
span of the trace meets service, operation, tags, span duration and time all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from msgspec import Struct, structs

from traceq.catalog import Window
from traceq.errors import NextCommand
from traceq.remarks import WarningSums
from traceq.semantics import Status, operation
from traceq.traces import Traces
from traceq.units import format_count, format_lookback, format_time
from traceq.where import OWN_NAMES, PLACES, Where, compiled, names_in, print_where

DEFAULT_LIMIT = 200
"""The default number of traces that an analysis reads from a server."""


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """Conditions that a trace has to meet; by default every trace meets them.

    Raises:
        ValueError: If a bound is below zero or a minimum above its maximum, the window ends before it starts, or a
            pattern cannot be read.
    """

    service: str | None = None
    operation: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    """Keys and values, compared as text (`true`, `500`); looked for in span, resource, events and links.

    A fact is found however it is written, see `conditions`.
    """
    tag_patterns: tuple[tuple[str, str], ...] = ()
    """Keys and regular expressions (of Python's `re`) that are searched for in the same texts."""
    has_error: bool = False
    """Whether the matching span has to have failed."""
    where: Where | None = None
    """Any further condition on the matching span, see `where`."""
    min_span_count: int | None = None
    """The least number of spans of the whole trace."""
    without_operations: tuple[str, ...] = ()
    """Operations, or `service:operation`: traces of nothing but requests of these are left out.

    Requests begin with the topmost spans of the service, or where none is named with roots.
    """
    has_whole_traces: bool = False
    """Whether requests begin with roots although a service is named."""
    min_duration_ns: int | None = None
    """The minimum duration of the matching span, inclusive; Jaeger's meaning of minDuration."""
    max_duration_ns: int | None = None
    min_trace_duration_ns: int | None = None
    """The minimum duration of the whole trace, inclusive; no server supports this condition."""
    max_trace_duration_ns: int | None = None
    window: Window = field(default_factory=Window)
    """The window in which the matching span starts."""
    limit: int | None = None
    """The maximum number of traces, the newest ones; None for all that the source gives."""

    def __post_init__(self) -> None:
        _check_bounds("duration", self.min_duration_ns, self.max_duration_ns)
        _check_bounds("trace duration", self.min_trace_duration_ns, self.max_trace_duration_ns)
        _check_bounds("time", self.window.start_ns, self.window.end_ns)
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"the limit has to be 1 or more, not {self.limit}")
        for key, pattern in self.tag_patterns:
            try:
                compiled(pattern)
            except ValueError as error:
                hint = "a backslash takes away a character's special meaning, and key=value compares exactly"
                raise ValueError(f"cannot read the pattern '{pattern}' of the tag '{key}' ({error}): {hint}") from error

    @property
    def has_tags(self) -> bool:
        """Whether there are conditions on attributes."""
        if self.attributes or self.tag_patterns:
            return True
        if self.where is None:
            return False
        # Late: few questions have such conditions.
        from traceq.conditions import needs_details

        return needs_details(self.where)

    @property
    def tag_keys(self) -> tuple[str, ...]:
        """The keys of tags that conditions are about, as spans have them."""
        names = names_in(self.where) - OWN_NAMES if self.where is not None else frozenset()
        bare = sorted(name.removeprefix(next(filter(name.startswith, PLACES), "")) for name in names)
        return tuple(dict.fromkeys((*(key for key, _ in (*self.attributes, *self.tag_patterns)), *bare)))

    @property
    def has_trace_bounds(self) -> bool:
        """Whether there are conditions that no server knows: bounds on the whole trace, and what `where` says."""
        bounds = (self.min_trace_duration_ns, self.max_trace_duration_ns, self.min_span_count, self.where)
        return any(bound is not None for bound in bounds) or bool(self.without_operations)

    @property
    def needs_traces(self) -> bool:
        """Whether summaries of traces do not tell if these meet the conditions."""
        return self.where is not None or self.min_span_count is not None or bool(self.without_operations)

    @property
    def without_trace_bounds(self) -> TraceQuery:
        """The same without conditions that no server knows."""
        return replace(
            self,
            min_trace_duration_ns=None,
            max_trace_duration_ns=None,
            min_span_count=None,
            without_operations=(),
            where=None,
        )

    def to_dict(self) -> dict[str, object]:
        """Give the conditions that were set as they stand in JSON."""
        known: dict[str, object] = {
            "service": self.service,
            "operation": self.operation,
            "tags": dict(self.attributes) or None,
            "tag_patterns": dict(self.tag_patterns) or None,
            "error": self.has_error or None,
            "where": None if self.where is None else print_where(self.where),
            "min_spans": self.min_span_count,
            "not_operations": list(self.without_operations) or None,
            "min_duration_ns": self.min_duration_ns,
            "max_duration_ns": self.max_duration_ns,
            "min_trace_duration_ns": self.min_trace_duration_ns,
            "max_trace_duration_ns": self.max_trace_duration_ns,
            "start_ns": self.window.start_ns,
            "end_ns": self.window.end_ns,
            "limit": self.limit,
        }
        return {key: value for key, value in known.items() if value is not None}


def _check_bounds(what: str, low: int | None, high: int | None) -> None:
    if what != "time" and any(bound is not None and bound < 0 for bound in (low, high)):
        raise ValueError(f"a {what} cannot be negative")
    if low is not None and high is not None and low > high:
        text = "the window ends before it starts" if what == "time" else f"the minimum {what} is above the maximum"
        raise ValueError(text)


def matching(traces: Traces, query: TraceQuery) -> list[int]:
    """Give the positions of the traces that meet every condition except the limit.

    Raises:
        ValueError: If there are conditions on tags and the traces were read without attributes.
    """
    codes = _Codes(
        None if query.service is None else _code(traces.services, query.service),
        None if query.operation is None else _named(traces.names, query.operation),
    )
    return [
        position
        for position in range(len(traces))
        if _is_as_asked(traces, position, query)
        and any(_meets(traces, row, query, codes) for row in traces.rows(position))
    ]


class _Codes(Struct, frozen=True):
    """The table's codes of the query's service and operation; -1 for a service that the table does not have."""

    service: int | None
    names: frozenset[int] | None


def _named(names: tuple[str, ...], text: str) -> frozenset[int]:
    """Find the operation as it was written, or as answers show it, without ids."""
    return frozenset(code for code, name in enumerate(names) if text in {name, operation(name)})


def _code(values: tuple[str, ...], value: str) -> int:
    return values.index(value) if value in values else -1


def _is_as_asked(traces: Traces, position: int, query: TraceQuery) -> bool:
    """Whether the trace as a whole meets the conditions on it."""
    rows = traces.rows(position)
    if query.min_span_count is not None and len(rows) < query.min_span_count:
        return False
    if query.without_operations and all(_is_unwanted(traces, row, query) for row in _entries(traces, rows, query)):
        return False
    return _lasts(traces, rows, query)


def _entries(traces: Traces, rows: range, query: TraceQuery) -> list[int]:
    """Give the rows with which requests begin."""
    if query.service is None or query.has_whole_traces:
        roots = [row for row in rows if traces.parents[row] < 0]
        return [row for row in roots if row not in traces.missing_parents] or roots
    code = _code(traces.services, query.service)
    return list(_topmost(traces, rows, code))


def _topmost(traces: Traces, rows: range, code: int) -> Iterator[int]:
    """Give the rows of a service that have no other one of it above them."""
    above: dict[int, bool] = {-1: False}
    for row in rows:
        if traces.service_codes[row] != code:
            continue
        way = []
        parent = traces.parents[row]
        while parent not in above and traces.service_codes[parent] != code:
            way.append(parent)
            parent = traces.parents[parent]
        is_below = above.get(parent, True)
        above |= dict.fromkeys(way, is_below)
        if not is_below:
            yield row


def _is_unwanted(traces: Traces, row: int, query: TraceQuery) -> bool:
    span = traces.span(row)
    names = {span.name, operation(span.name)}
    return any(
        text in names or text in {f"{span.service}:{name}" for name in names} for text in query.without_operations
    )


def _lasts(traces: Traces, rows: range, query: TraceQuery) -> bool:
    if query.min_trace_duration_ns is None and query.max_trace_duration_ns is None:
        return True
    if not rows:
        return False
    first_ns = min(traces.start_ns[row] for row in rows)
    last_ns = max(traces.start_ns[row] + traces.duration_ns[row] for row in rows)
    return _within(last_ns - first_ns, query.min_trace_duration_ns, query.max_trace_duration_ns)


def _within(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _meets(traces: Traces, row: int, query: TraceQuery, codes: _Codes) -> bool:
    return (
        (codes.service is None or traces.service_codes[row] == codes.service)
        and (codes.names is None or traces.name_codes[row] in codes.names)
        and (not query.has_error or traces.statuses[row] == Status.ERROR)
        and _within(traces.duration_ns[row], query.min_duration_ns, query.max_duration_ns)
        and traces.start_ns[row] in query.window
        and (not (query.attributes or query.tag_patterns) or _carries(traces, row, query))
        and (query.where is None or _meets_where(traces, row, query.where))
    )


def _meets_where(traces: Traces, row: int, where: Where) -> bool:
    from traceq.conditions import meets

    return meets(traces, row, where)


def _carries(traces: Traces, row: int, query: TraceQuery) -> bool:
    # Late: few questions are about tags.
    from traceq.conditions import carries, carries_like

    return carries(traces, row, query.attributes) and all(
        carries_like(traces, row, key, pattern) for key, pattern in query.tag_patterns
    )


class Place(Protocol):
    """A source of traces, as far as an answer has to name it."""

    @property
    def location(self) -> str:
        """The source for people: its URL or path, without secrets."""

    @property
    def locations(self) -> tuple[str, ...]:
        """The arguments that open it again: one URL, or paths."""

    @property
    def trace_url(self) -> str:
        """The URL of a trace's page, with `{trace_id}` in it; empty where there are no pages."""

    @property
    def is_live(self) -> bool:
        """Whether it is a server that receives new traces."""


class OneTrace(Struct, frozen=True):
    """A trace selected by its id."""

    trace_id: str
    """The trace's id, or a prefix that only one trace has."""
    service: str | None = None
    """The service whose requests in the trace the question is about; None for the whole trace."""


Wanted: TypeAlias = TraceQuery | OneTrace
"""Which traces a question is about."""


class Asked(Struct, frozen=True):
    """The query that a source was given, and what there is to say about its answer: the head of every document."""

    location: str = ""
    """The source for people: a URL or paths, without secrets."""
    query: Mapping[str, object] = {}
    """The conditions that were set, as in the JSON document."""
    window: str = ""
    """The time window in words (`last 1h`); empty for no limits."""
    locations: tuple[str, ...] = ()
    """The arguments that open the source again."""
    trace_url: str = ""
    """The URL of a trace's page, with `{trace_id}` in it; empty when the source has no pages."""
    is_live: bool = False
    """Whether the source is a server."""
    warnings: WarningSums = WarningSums()
    """What is strange about the traces."""
    notes: tuple[str, ...] = ()
    """Sentences without a full stop, for standard error and for JSON."""
    is_cut_off: bool = False
    """Whether the limit left traces out, or may have."""
    asked_ns: int | None = None
    """When a server was asked, for ages; None for files."""
    is_partial: bool = False
    """Whether something is missing for another reason: a service that gave no answer, or the rest of a trace."""

    def command(self, *words: str) -> NextCommand:
        """Give a command about the same source."""
        return NextCommand(words, self.locations)

    def head(self, command: str) -> dict[str, object]:
        """Give what the JSON document of a command begins with."""
        return {
            "schema": f"traceq.{command}/1",
            "source": self.location,
            "query": dict(self.query),
            "is_cut_off": self.is_cut_off,
            "is_partial": self.is_partial,
            "notes": list(self.notes),
            "warnings": [
                {"code": each.code, "trace_id": each.trace_id, "span_id": each.span_id or None, "message": each.message}
                for each in self.warnings.listed
            ],
            "warning_counts": dict(sorted(self.warnings.counts.items())),
        }


NOT_ASKED = Asked()
"""For answers about tables that no source was asked for."""


def window_text(window: Window) -> str:
    """Give a time window in words (`last 1h`, `since 14:00:00.000`); empty for no limits."""
    if window.lookback_ns is not None:
        return f"last {format_lookback(window.lookback_ns)}"
    if window.start_ns is not None and window.end_ns is not None:
        return f"{format_time(window.start_ns)} to {format_time(window.end_ns)}"
    if window.start_ns is not None:
        return f"since {format_time(window.start_ns)}"
    return "" if window.end_ns is None else f"until {format_time(window.end_ns)}"


_NO_WARNINGS = WarningSums()


def asked_of(source: Place, wanted: Wanted, warnings: WarningSums = _NO_WARNINGS) -> Asked:
    """Describe a query to a source.

    Args:
        source: What was asked.
        wanted: Which traces.
        warnings: About the traces that were found.
    """
    about = Asked(
        location=source.location,
        locations=source.locations,
        trace_url=source.trace_url,
        is_live=source.is_live,
        warnings=warnings,
    )
    if isinstance(wanted, OneTrace):
        service = {"service": wanted.service} if wanted.service else {}
        return structs.replace(about, query={"trace_id": wanted.trace_id, **service})
    return structs.replace(about, query=wanted.to_dict(), window=window_text(wanted.window))


def together(parts: Sequence[Asked], query: Mapping[str, object]) -> Asked:
    """Say of several things that were asked what there is to say of all of them.

    Args:
        parts: At least one; links are those of the last.
        query: What they were asked for together.
    """
    return structs.replace(
        parts[-1],
        location=" and ".join(dict.fromkeys(part.location for part in parts)),
        query=query,
        window="",
        warnings=sum((part.warnings for part in parts), WarningSums()),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        is_cut_off=any(part.is_cut_off for part in parts),
        is_partial=any(part.is_partial for part in parts),
    )


def cut_off_line(limit: int | None, what: str = "traces") -> str:
    """Say that the limit left something out."""
    told = "the source's limit" if limit is None else f"the limit of {format_count(limit)}"
    return f"{told} left {what} out: there may be more, raise --limit or narrow the window"
