"""What `deps` shows: who calls whom, as boxes and arrows, a tree, a matrix or a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from traceq.analysis.dependencies import DEPENDENCY_COLUMNS, Dependencies, Dependency, disagreement
from traceq.analysis.graph_questions import busiest
from traceq.answer import report_of
from traceq.asked import Asked, window_text
from traceq.report import Block, Column, Line, Part, Report, Table, Unit, picked, table
from traceq.units import format_count, plural
from traceq.views.graphs import Changes, Shade, View, graph_of, matrix_of
from traceq.views.wording import dim

_MOST_DRAWN = 25, 60
"""Nodes and edges that a picture of everything holds in a terminal; a part that was asked for is drawn whole."""
_MOST_CELLS = 60, 1800
_MOST_PIXELS = 100, 250
_MOST_TOLD = 5
_NO_ASKED = Asked()

_WHY_EMPTY = (
    "Jaeger's own table is empty: on Elasticsearch, OpenSearch and Cassandra it is, until a job "
    "(spark-dependencies) has filled it"
)
_SPURIOUS = "that table takes every span below another of its service for a call to itself: these are not drawn"


@dataclass(frozen=True, slots=True)
class Shown:
    """How a graph is drawn."""

    view: View = "auto"
    color_by: Shade = "errors"
    is_part: bool = False
    """Whether a part was asked for, which is drawn whole."""
    is_limited: bool = False
    """Whether edges were left out by their calls or errors."""
    fits_page: bool = False
    """Whether pictures are kept to what a page holds, as for SVG; else they have everything."""
    changed: Changes | None = None
    """How edges differ from the last time."""


_PLAIN = Shown()


@report_of.register
def report(answer: Dependencies, asked: Asked = _NO_ASKED, shown: Shown = _PLAIN) -> Report:
    """Draw who calls whom."""
    picture = graph_of(_cut(answer, _MOST_PIXELS) if shown.fits_page else answer, "auto", shown.color_by)
    blocks = _blocks(answer, shown)
    footer = provenance(answer, asked)
    return Report("deps", answer.to_dict(), answer.records(), blocks, footer, asked.trace_url, graph=picture)


def provenance(graph: Dependencies, asked: Asked) -> tuple[Line, ...]:
    """Say who counted the calls, and over which time."""
    coverage, texts = graph.coverage, []
    where = f" ({asked.location})" if asked.location else ""
    if graph.origin != "jaeger" and graph.trace_count is not None:
        window = "" if coverage.traces is None else window_text(coverage.traces)
        texts.append(f"counted in {plural(graph.trace_count, 'trace')}{', ' + window if window else ''}{where}")
    if graph.origin != "traces" and coverage.table is not None:
        window = window_text(coverage.table)
        texts.append(f"from Jaeger's own table{', ' + window if window else ''}{where}")
    if coverage.recorded_count == 0:
        texts.append(_WHY_EMPTY)
    if graph.spurious:
        texts.append(_SPURIOUS)
    return tuple(dim(text) for text in texts)


def _cut(graph: Dependencies, most: tuple[int, int]) -> Dependencies:
    linked = {name for call in graph.drawn for name in (call.caller, call.callee)}
    # Nodes without calls take no room in a picture.
    return graph if len(linked) <= most[0] and len(graph.drawn) <= most[1] else busiest(graph, *most)


def _blocks(graph: Dependencies, shown: Shown) -> tuple[Block, ...]:
    if not graph.nodes:
        return (Line((Part(_nothing(shown), "hint"),)),)
    if shown.view == "table":
        return (_table(graph), *_doubts(graph), Line())
    drawn = graph
    if not shown.is_part and shown.view != "tree":
        drawn = _cut(graph, _MOST_CELLS if shown.view == "matrix" else _MOST_DRAWN)
    left_out = () if drawn is graph else (Line((Part(_left_out(drawn, graph), "hint"),)),)
    if shown.view == "matrix":
        return (matrix_of(drawn), *left_out, *_doubts(graph), Line())
    picture = graph_of(drawn, shown.view, shown.color_by, shown.changed)
    return (picture, *_gone(shown.changed or {}), *left_out, *_doubts(graph), Line())


def _nothing(shown: Shown) -> str:
    if shown.is_limited:
        return "no such calls: leave --errors or --min-calls out to see the others"
    return "no calls between services: a longer --lookback?"


def _left_out(drawn: Dependencies, whole: Dependencies) -> str:
    return (
        f"the busiest {format_count(len(drawn.drawn))} of {plural(len(whole.drawn), 'edge')} and "
        f"{format_count(len(drawn.nodes))} of {plural(len(whole.nodes), 'node')}: --service NAME shows what is around "
        "one, --collapse 'team-*' takes some together, --view tree or table and --format html show all"
    )


def _gone(changed: Mapping[tuple[str, str, bool], str]) -> tuple[Line, ...]:
    gone = [f"{caller} -> {callee}" for (caller, callee, _), change in changed.items() if change == "gone"]
    return (Line((Part(f"gone since the last time: {', '.join(gone)}", "hint"),)),) if gone else ()


def _doubts(graph: Dependencies) -> tuple[Line, ...]:
    """Tell what only one of Jaeger's table and the traces knows."""
    found = disagreement(graph)
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


_CALLER, _CALLEE, _CALLS, _PER_TRACE, _ERRORS, _CALLEE_P95, _NETWORK, _JAEGER, _VIA = picked(
    DEPENDENCY_COLUMNS,
    *("caller", "callee", "call_count", "calls_per_trace", "error_count"),
    *("callee_time.p95_ns", "network_time.p50_ns", "jaeger_count", "via"),
)


def _time(quantile: float, title: str, priority: int) -> Column[Dependency]:
    """Give a column of how long calls take as their callers see it, or else their callees."""

    def value(call: Dependency) -> int | None:
        return call.time.percentile(quantile) if call.time else None

    return Column(title, title, Unit.DURATION, value, priority=priority)


_COLUMNS: tuple[Column[Dependency], ...] = (
    _CALLER,
    _CALLEE,
    _CALLS,
    replace(_ERRORS, priority=1),
    _time(0.5, "p50", 3),
    _time(0.95, "p95", 2),
    Column("max", "max", Unit.DURATION, lambda call: call.time.max_ns if call.time else None, priority=6),
    replace(_CALLEE_P95, title="callee p95", priority=8),
    replace(_NETWORK, title="network p50", priority=7),
    replace(_PER_TRACE, priority=6),
    Column("protocol", "protocol", value=lambda call: call.protocol or None, can_shrink=True, priority=5),
    Column("async", "async", value=lambda call: "yes" if call.is_async else None, priority=4),
    replace(_VIA, priority=4),
    replace(_JAEGER, priority=4),
)
_ALWAYS = 3


def _table(graph: Dependencies) -> Table:
    found = table(_COLUMNS, graph.calls)
    # Columns without any value are left out.
    used = [
        number
        for number in range(len(_COLUMNS))
        if number < _ALWAYS or any(row[number] is not None for row in found.rows)
    ]
    return table((_COLUMNS[number] for number in used), graph.calls)
