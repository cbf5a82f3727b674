"""`traceq search`: which requests there were, and which were slow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeAlias

import typer

from traceq.cli.options import FilterOptions, OutputOptions, ServiceOption, SourceOptions
from traceq.cli.output import emit
from traceq.cli.session import opened
from traceq.engine import asked_of, cut_off_line, sum_warnings, with_warnings
from traceq.query import Asked, TraceQuery
from traceq.report import Column, Line, Part, Report, Table, Unit, Value
from traceq.sources.interface import FoundSummaries, Source
from traceq.summary import TraceSummary
from traceq.units import plural

_DEFAULT_LIMIT = 20
"""As in Jaeger UI."""

Order: TypeAlias = Literal[
    "recent",
    "oldest",
    "longest",
    "shortest",
    "most-spans",
    "least-spans",
    "most-errors",
    "least-errors",
    "name",
    "name-desc",
]

_KEYS: dict[str, tuple[Callable[[TraceSummary], tuple[int | str, ...]], bool]] = {
    "recent": (lambda summary: (summary.start_ns,), True),
    "oldest": (lambda summary: (summary.start_ns,), False),
    "longest": (lambda summary: (summary.duration_ns,), True),
    "shortest": (lambda summary: (summary.duration_ns,), False),
    "most-spans": (lambda summary: (summary.span_count,), True),
    "least-spans": (lambda summary: (summary.span_count,), False),
    "most-errors": (lambda summary: (summary.error_count,), True),
    "least-errors": (lambda summary: (summary.error_count,), False),
    "name": (lambda summary: (summary.root_service, summary.root_name), False),
    "name-desc": (lambda summary: (summary.root_service, summary.root_name), True),
}
"""Jaeger UI's ten orders: what is compared, and whether the greatest goes first."""

_ORDER_TEXTS = {"recent": "newest first", "oldest": "oldest first", "name": "by name", "name-desc": "by name, Z to A"}


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Of `search`."""

    service: ServiceOption = None
    filters: FilterOptions = field(default_factory=FilterOptions)
    sort: Annotated[Order, typer.Option(help="Jaeger UI's ten orders.")] = "recent"
    slowest: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="The slowest N of the whole window: asks for ever longer ones until the answer is complete.",
        ),
    ] = None
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def search(options: SearchOptions) -> None:
    """Find traces: of one service, or of all of them at once.

    Examples:
      traceq search --min-duration 500ms

      traceq search --service chat-service --tag user_id=123 --lookback 2h

      traceq search --error --sort longest --format ndjson

      traceq search --slowest 5 --lookback 1d
    """
    with opened(options.source, options.output) as source:
        query = options.filters.query(options.service, is_live=source.is_live, default_limit=_DEFAULT_LIMIT)
        found = _find(source, query, options.slowest)
    notes = found.notes + ((cut_off_line(query.limit),) if found.is_cut_off else ())
    about = with_warnings(asked_of(source, query), sum_warnings(found.warnings))
    asked = replace(about, notes=notes, is_cut_off=found.is_cut_off)
    emit(_report(asked, found, options), asked, options.output)


def _find(source: Source, query: TraceQuery, slowest: int | None) -> FoundSummaries:
    if slowest is None:
        return source.summaries(query)
    from traceq.sources.slowest import find_slowest

    return find_slowest(source.summaries, query, slowest)


def _report(asked: Asked, found: FoundSummaries, options: SearchOptions) -> Report:
    order: Order = "longest" if options.slowest is not None and options.sort == "recent" else options.sort
    summaries = _sorted(found.summaries, order)
    records = _records(summaries)
    parts = [f"{plural(len(summaries), 'trace')}"]
    if found.service_count:
        parts[0] += f" from {plural(found.service_count, 'service')}"
    parts += [text for text in (asked.window, _ORDER_TEXTS.get(order, f"{order.replace('-', ' ')} first")) if text]
    footer = [Line((Part(f"{', '.join(parts)} ({asked.location})", "dim"),))]
    if not summaries:
        footer.append(Line((Part(_nothing_found(asked), "hint"),)))
    return Report(
        "search",
        {"traces": [summary.to_dict() for summary in summaries]},
        records,
        (_table(summaries),) if summaries else (),
        tuple(footer),
        asked.trace_url,
    )


def _nothing_found(asked: Asked) -> str:
    if asked.window:
        return "nothing matches: a longer --lookback, or fewer conditions?"
    return "nothing matches: fewer conditions?"


def _sorted(summaries: tuple[TraceSummary, ...], order: Order) -> list[TraceSummary]:
    key, descending = _KEYS[order]
    # Two stable sorts: ties go newest first, then by id, whichever way the order runs.
    newest = sorted(summaries, key=lambda summary: (-summary.start_ns, summary.trace_id))
    return sorted(newest, key=key, reverse=descending)


def _records(summaries: list[TraceSummary]) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("trace_id", "trace", Unit.TRACE_ID),
        Column("root_service", "service", Unit.SERVICE),
        Column("root_operation", "operation"),
        Column("start_ns", "start", Unit.TIME),
        Column("duration_ns", "duration", Unit.DURATION),
        Column("span_count", "spans", Unit.COUNT),
        Column("error_count", "errors", Unit.ERRORS),
        Column("orphan_count", "orphans", Unit.COUNT),
        Column("services", "services"),
    )
    rows = [
        (
            summary.trace_id,
            summary.root_service,
            summary.root_name,
            summary.start_ns,
            summary.duration_ns,
            summary.span_count,
            summary.error_count,
            summary.orphan_count,
            tuple(share.name for share in summary.services),
        )
        for summary in summaries
    ]
    return Table(columns, tuple(rows))


def _table(summaries: list[TraceSummary]) -> Table:
    longest = max(summary.duration_ns for summary in summaries)
    columns: tuple[Column[Any], ...] = (
        Column("trace_id", "trace", Unit.TRACE_ID),
        Column("root", "root", can_shrink=True),
        Column("start_ns", "start", Unit.TIME, priority=2),
        Column("duration_ns", "duration", Unit.DURATION),
        Column("bar", "", Unit.BAR, priority=3),
        Column("span_count", "spans", Unit.COUNT, priority=1),
        Column("error_count", "errors", Unit.ERRORS),
        Column("services", "services", can_shrink=True, priority=4),
    )
    return Table(columns, tuple(_row(summary, longest) for summary in summaries))


def _row(summary: TraceSummary, longest_ns: int) -> tuple[Value, ...]:
    shares = [f"{share.name} {share.span_count}" for share in summary.services]
    return (
        summary.trace_id,
        _root(summary),
        summary.start_ns,
        summary.duration_ns,
        summary.duration_ns / longest_ns if longest_ns else 0.0,
        summary.span_count,
        summary.error_count,
        " · ".join(shares),
    )


def _root(summary: TraceSummary) -> str:
    incomplete = " (incomplete)" if summary.orphan_count else ""
    # Servers' own summaries name no root when the only one misses its parent: the service with most spans has to do.
    service = summary.root_service or (summary.services[0].name if summary.services else "?")
    return f"{service} {summary.root_name}".strip() + incomplete
