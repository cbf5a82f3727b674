"""`traceq deps`: who calls whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from traceq.catalog import Window
from traceq.cli.messages import cut_off_line
from traceq.cli.options import OutputOptions, SourceOptions, WindowOptions, complete_service
from traceq.cli.output import Asked, emit
from traceq.cli.session import opened, window_text
from traceq.errors import NotFoundError
from traceq.query import TraceQuery
from traceq.report import Block, Column, Graph, GraphEdge, GraphNode, Line, Part, Report, Table, Unit
from traceq.sources import Found, Source
from traceq.units import NS_PER_DAY, format_count, plural

if TYPE_CHECKING:
    from traceq.analysis.dependencies import Dependencies

_DEFAULT_LIMIT = 200
_TABLE_LOOKBACK_NS = NS_PER_DAY
"""Jaeger's own table is written by a daily job: an hour of it is empty even where the job runs."""


@dataclass(frozen=True, slots=True)
class DepsOptions:
    """Of `deps`."""

    service: Annotated[
        str | None,
        typer.Option(
            "--service", metavar="NAME", help="Only what is around this service.", autocompletion=complete_service
        ),
    ] = None
    depth: Annotated[
        int, typer.Option(min=1, metavar="N", help="With --service: so many calls up- and downstream.")
    ] = 1
    view: Annotated[
        Literal["auto", "graph", "tree", "table"],
        typer.Option(help="Boxes and arrows when they fit, else an indented tree; or one of them."),
    ] = "auto"
    origin: Annotated[
        Literal["auto", "jaeger", "traces"],
        typer.Option("--from", help="Jaeger's own table when it has any, else traces; or one of them."),
    ] = "auto"
    when: WindowOptions = field(default_factory=WindowOptions)
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="So many traces, the newest; 200 for a server.")
    ] = None
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def deps(options: DepsOptions) -> None:
    """Draw who calls whom.

    Jaeger's own table of dependencies is used when it holds any; on Elasticsearch and Cassandra it is empty unless a
    job fills it, and then calls are counted in traces.

    Examples:
      traceq deps

      traceq deps --service chat-service --depth 2

      traceq deps --from traces --limit 1000 --lookback 6h

      traceq deps --view table --source traces.json --format csv
    """
    from traceq.analysis.dependencies import around

    with opened(options.source, options.output) as source:
        found, dependencies = _dependencies(source, options)
    if options.service is not None:
        _check_service(options.service, dependencies, source)
        dependencies = around(dependencies, options.service, options.depth)
    window = options.when.window(is_live=source.is_live)
    query = {"service": options.service, "start_ns": window.start_ns, "end_ns": window.end_ns, "limit": options.limit}
    notes = () if found is None else found.notes
    if found is not None and found.is_cut_off:
        notes += (cut_off_line(options.limit or _DEFAULT_LIMIT),)
    asked = Asked(
        source.location,
        {key: value for key, value in query.items() if value is not None},
        () if found is None else found.traces.warnings,
        notes,
        found is not None and found.is_cut_off,
    )
    emit(_report(source, dependencies, options), asked, options.output)


def _dependencies(source: Source, options: DepsOptions) -> tuple[Found | None, Dependencies]:
    """Ask the source's own table, or count in traces; says what traces were looked at, if any."""
    from traceq.analysis.dependencies import count_calls, from_jaeger, from_sums

    if options.origin != "traces":
        calls = source.dependencies(_table_window(options, is_live=source.is_live))
        if calls or options.origin == "jaeger":
            return None, from_jaeger(calls)
    limit = options.limit or (_DEFAULT_LIMIT if source.is_live else None)
    query = TraceQuery(window=options.when.window(is_live=source.is_live), limit=limit)
    found = source.find(query)
    return found, from_sums(count_calls(found.traces))


def _table_window(options: DepsOptions, *, is_live: bool) -> Window:
    when = options.when
    if is_live and when.lookback is None and when.start is None:
        when = replace(when, lookback=_TABLE_LOOKBACK_NS)
    return when.window(is_live=is_live)


def _check_service(service: str, dependencies: Dependencies, source: Source) -> None:
    if service in dependencies.services:
        return
    from difflib import get_close_matches

    near = get_close_matches(service, dependencies.services, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise NotFoundError(
        f"no service named '{service}' among the dependencies at {source.location}",
        hint=f"{hint}`traceq deps --view table` lists {plural(len(dependencies.services), 'service')}",
    )


def _report(source: Source, dependencies: Dependencies, options: DepsOptions) -> Report:
    records = Table(
        (
            Column("caller", "caller", Unit.SERVICE, can_shrink=True),
            Column("callee", "callee", Unit.SERVICE, can_shrink=True),
            Column("call_count", "calls", Unit.COUNT),
            Column("asynchronous", "asynchronous", priority=1),
        ),
        tuple((call.caller, call.callee, call.call_count, call.is_async) for call in dependencies.calls),
    )
    footer = (Line((Part(_provenance(source, dependencies, options), "dim"),)),)
    return Report("deps", dependencies.to_dict(), records, _blocks(records, dependencies, options), footer)


def _blocks(records: Table, dependencies: Dependencies, options: DepsOptions) -> tuple[Block, ...]:
    if not dependencies.services:
        return (Line((Part("no calls between services: a longer --lookback?", "hint"),)),)
    if options.view == "table":
        rows = tuple((*row[:3], "yes" if row[3] else None) for row in records.rows)
        return (replace(records, rows=rows), Line())
    nodes = tuple(GraphNode(name, name) for name in dependencies.services)
    edges = tuple(
        GraphEdge(call.caller, call.callee, format_count(call.call_count), call.is_async) for call in dependencies.calls
    )
    return (Graph(nodes, edges, options.view), Line())


def _provenance(source: Source, dependencies: Dependencies, options: DepsOptions) -> str:
    """Say who counted the calls, in what, and why."""
    when = options.when
    window = window_text(
        when.window(is_live=source.is_live), is_live=source.is_live, lookback_ns=when.effective_lookback
    )
    if dependencies.origin == "jaeger":
        if when.lookback is None and when.start is None and source.is_live:
            window = "last 1d"
        return f"from Jaeger's own table{', ' + window if window else ''} ({source.location})"
    counted = f"counted in {plural(dependencies.trace_count or 0, 'trace')}{', ' + window if window else ''}"
    empty = source.is_live and options.origin == "auto"
    why = "; Jaeger's own table is empty: on Elasticsearch and Cassandra a job has to fill it" if empty else ""
    return f"{counted} ({source.location}){why}"
