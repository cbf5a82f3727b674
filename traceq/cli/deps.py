"""`traceq deps`: who calls whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from traceq.cli.deps_ask import Answer, ask, narrowed
from traceq.cli.deps_options import DepsOptions
from traceq.cli.output import chosen_format, emit
from traceq.cli.session import opened
from traceq.engine import asked_of
from traceq.query import TraceQuery
from traceq.report import Block, Column, Line, Part, Report, Table, Unit
from traceq.sources.interface import Source
from traceq.units import format_count, plural

if TYPE_CHECKING:
    from traceq.analysis.dependencies import Dependencies, Dependency
    from traceq.cli.deps_graph import Changes

__all__ = ["DepsOptions", "deps"]

_MOST_DRAWN = 25, 60
"""Nodes and edges that a picture of everything holds in a terminal; a part that was asked for is drawn whole."""
_MOST_CELLS = 60, 1800
_MOST_PIXELS = 100, 250
_MOST_TOLD = 5


def deps(options: DepsOptions) -> None:
    """Draw who calls whom, how often and how well, databases and brokers included.

    Calls are counted in traces, and Jaeger's own table is put beside them: what only one of the two knows is told. On
    Elasticsearch and Cassandra that table is empty until a job has filled it.

    Examples:
      traceq deps

      traceq deps --service chat-service --upstream 2 --downstream 1

      traceq deps --impact user-service --limit 1000 --lookback 6h

      traceq deps --path gateway 'mysql orders'

      traceq deps --format html -o graph.html --source traces.json
    """
    options.check()
    chosen = chosen_format(options.output)
    # What is opened here may be drawn as a graph, so the check of formats that others need is left out.
    # A watch draws over what progress would write.
    is_quiet = options.output.quiet or options.watch is not None
    with opened(options.source, replace(options.output, format="text", quiet=is_quiet)) as source:
        if options.watch is not None:
            _check_watch(source, chosen)
            from traceq.cli.deps_watch import watch

            watch(
                lambda: ask(source, options), lambda answer, last: _show(source, answer, options, last), options.watch
            )
            return
        answer = ask(source, options)
    _show(source, answer, options, None)


def _check_watch(source: Source, chosen: str) -> None:
    if not source.is_live:
        raise typer.BadParameter("files do not change while they are watched", param_hint="--watch")
    if chosen != "text":
        raise typer.BadParameter(f"a {chosen} document is written once", param_hint="--watch")


def _show(source: Source, answer: Answer, options: DepsOptions, last: Dependencies | None) -> None:
    asked = replace(answer.asked or asked_of(source, TraceQuery()), query=_query(source, options))
    report = _report(source, answer, options, last)
    # What there is to remark was said below the first drawing.
    output = options.output if last is None else replace(options.output, quiet=True)
    emit(report, asked, output, is_ascii=options.ascii)


def _query(source: Source, options: DepsOptions) -> dict[str, object]:
    window = options.when.window(is_live=source.is_live)
    part = options.part
    query = {
        "service": part.service,
        "min_calls": part.min_calls if part.min_calls > 1 else None,
        "errors": part.errors or None,
        "collapse": part.collapse or None,
        "start_ns": window.start_ns,
        "end_ns": window.end_ns,
        "limit": options.limit,
    }
    return {key: value for key, value in query.items() if value is not None}


def _report(source: Source, answer: Answer, options: DepsOptions, last: Dependencies | None) -> Report:
    from traceq.cli.deps_questions import question_report

    dependencies = narrowed(answer.dependencies, options.part, source.location)
    footer = tuple(Line((Part(text, "dim"),)) for text in answer.provenance)
    asked = question_report(answer, dependencies, options, source.location)
    if asked is not None:
        return replace(asked, footer=footer)
    before = None if last is None else narrowed(last, options.part, source.location)
    return _drawing(dependencies, options, footer, before)


def _drawing(
    dependencies: Dependencies, options: DepsOptions, footer: tuple[Line, ...], last: Dependencies | None
) -> Report:
    from traceq.cli.deps_graph import graph_of
    from traceq.cli.deps_watch import changes

    changed = {} if last is None else changes(last, dependencies)
    most = (
        _MOST_PIXELS if chosen_format(options.output) == "svg" else (len(dependencies.nodes), len(dependencies.calls))
    )
    picture = graph_of(_cut(dependencies, *most), "auto", options.color_by)
    return Report(
        "deps",
        dependencies.to_dict(),
        _records(dependencies),
        _blocks(dependencies, options, changed),
        footer,
        graph=picture,
    )


def _cut(dependencies: Dependencies, most_nodes: int, most_edges: int) -> Dependencies:
    from traceq.analysis.graph_questions import busiest

    linked = {name for call in dependencies.drawn for name in (call.caller, call.callee)}
    # Nodes without calls take no room in a picture.
    if len(linked) <= most_nodes and len(dependencies.drawn) <= most_edges:
        return dependencies
    return busiest(dependencies, most_nodes, most_edges)


def _records(dependencies: Dependencies) -> Table:
    from traceq.analysis.dependencies import FLAT_COLUMNS, flat

    columns: tuple[Column[Any], ...] = tuple(Column(key, key.replace("_", " ")) for key in FLAT_COLUMNS)
    return Table(columns, tuple(tuple(flat(call).values()) for call in dependencies.calls))


def _blocks(dependencies: Dependencies, options: DepsOptions, changed: Changes) -> tuple[Block, ...]:
    from traceq.cli.deps_graph import graph_of, matrix_of

    if not dependencies.nodes:
        return (Line((Part(_nothing(options), "hint"),)),)
    if options.view == "table":
        return (_table(dependencies), *_doubts(dependencies), Line())
    shown = dependencies
    # A part that was asked for is shown whole, all edges among the chosen nodes.
    if options.part.service is None and options.view != "tree":
        shown = _cut(dependencies, *(_MOST_CELLS if options.view == "matrix" else _MOST_DRAWN))
    left_out = () if shown is dependencies else (Line((Part(_left_out(shown, dependencies), "hint"),)),)
    if options.view == "matrix":
        return (matrix_of(shown), *left_out, *_doubts(dependencies), Line())
    graph = graph_of(shown, options.view, options.color_by, changed)
    return (graph, *_gone(changed), *left_out, *_doubts(dependencies), Line())


def _nothing(options: DepsOptions) -> str:
    part = options.part
    if part.errors or part.min_calls > 1:
        return "no calls like that: leave --errors or --min-calls out to see the others"
    return "no calls between services: a longer --lookback?"


def _left_out(shown: Dependencies, whole: Dependencies) -> str:
    return (
        f"the busiest {format_count(len(shown.drawn))} of {plural(len(whole.drawn), 'edge')} and "
        f"{format_count(len(shown.nodes))} of {plural(len(whole.nodes), 'node')}: --service NAME shows what is around "
        "one, --collapse 'team-*' takes some together, --view tree or table and --format html show all"
    )


def _gone(changed: Changes) -> tuple[Line, ...]:
    gone = [f"{caller} -> {callee}" for (caller, callee, _), change in changed.items() if change == "gone"]
    return (Line((Part(f"gone since the last time: {', '.join(gone)}", "hint"),)),) if gone else ()


def _doubts(dependencies: Dependencies) -> tuple[Line, ...]:
    """Tell what only one of Jaeger's table and the traces knows."""
    from traceq.analysis.dependencies import disagreement

    found = disagreement(dependencies)
    lines = []
    for where, calls in (("Jaeger's table", found.only_jaeger), ("the traces", found.only_traces)):
        if calls:
            lines.append(Line((Part(f"only in {where}: {_listed(calls)}", "strong"),)))
    return tuple(lines)


def _listed(calls: Sequence[Dependency]) -> str:
    ranked = sorted(calls, key=lambda call: (-call.call_count, call))
    told = [f"{call.caller} -> {call.callee} {format_count(call.call_count)}" for call in ranked[:_MOST_TOLD]]
    more = len(ranked) - len(told)
    return ", ".join(told) + (f" and {format_count(more)} more" if more else "")


def _table(dependencies: Dependencies) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("caller", "caller", Unit.SERVICE, can_shrink=True),
        Column("callee", "callee", Unit.SERVICE, can_shrink=True),
        Column("calls", "calls", Unit.COUNT),
        Column("errors", "err", Unit.ERRORS, priority=1),
        Column("p50", "p50", Unit.DURATION, priority=3),
        Column("p95", "p95", Unit.DURATION, priority=2),
        Column("max", "max", Unit.DURATION, priority=6),
        Column("callee_p95", "callee p95", Unit.DURATION, priority=8),
        Column("network", "network p50", Unit.DURATION, priority=7),
        Column("per_trace", "per trace", priority=6),
        Column("protocol", "protocol", can_shrink=True, priority=5),
        Column("async", "async", priority=4),
        Column("via", "via", can_shrink=True, priority=4),
        Column("jaeger", "jaeger", Unit.COUNT, priority=4),
    )
    rows = [_row(call) for call in dependencies.calls]
    # A column that nothing is in says nothing.
    used = [number for number in range(len(columns)) if number < 3 or any(row[number] is not None for row in rows)]
    return Table(
        tuple(columns[number] for number in used), tuple(tuple(row[number] for number in used) for row in rows)
    )


def _row(call: Dependency) -> tuple[str | int | float | None, ...]:
    sums, time = call.sums, call.time
    network = sums.network if sums and sums.network.count else None
    callee = sums.callee if sums and sums.callee.count else None
    return (
        call.caller,
        call.callee,
        call.call_count,
        sums.error_count if sums else None,
        time.percentile(0.5) if time else None,
        time.percentile(0.95) if time else None,
        time.max_ns if time else None,
        callee.percentile(0.95) if callee else None,
        network.percentile(0.5) if network else None,
        call.call_count / sums.trace_count if sums and sums.trace_count else None,
        call.protocol or None,
        "yes" if call.is_async else None,
        call.via or None,
        call.jaeger_count,
    )
