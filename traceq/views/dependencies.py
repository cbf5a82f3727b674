"""What `deps` shows: who calls whom, as boxes and arrows, tree, matrix or table; answers to questions about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.dependencies import DEPENDENCY_COLUMNS, Dependencies, Dependency, disagreement
from traceq.analysis.graph_questions import CriticalCalls, Cycle, Cycles, Way, Ways, busiest
from traceq.analysis.impact import AFFECTED_COLUMNS, Impact
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked, window_text
from traceq.report import Block, Column, Line, Part, Report, Table, Unit, picked, table
from traceq.units import format_count, format_duration, format_ratio, plural
from traceq.views.graphs import Changes, Shade, View, graph_of, matrix_of
from traceq.views.wording import answer_line, dim, hint, next_line, reported, strong, verdict_lines

_MOST_DRAWN = 25, 60
"""Nodes and edges that a picture of everything holds in a terminal; a part that was asked for is drawn whole."""
_MOST_CELLS = 60, 1800
_MOST_PIXELS = 100, 250
_MOST_TOLD = 5

_WHY_EMPTY = (
    "Jaeger's own table is empty: on Elasticsearch, OpenSearch and Cassandra it is, until a job "
    "(spark-dependencies) has filled it"
)
_SPURIOUS = "that table takes every span below another of its service for a call to itself: these are not drawn"


class Shown(Struct, frozen=True):
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
def report(answer: Dependencies, asked: Asked = NOT_ASKED, shown: Shown = _PLAIN) -> Report:
    """Draw who calls whom."""
    picture = graph_of(_cut(answer, _MOST_PIXELS) if shown.fits_page else answer, "auto", shown.color_by)
    said = verdict_lines(answer.verdict, asked)
    blocks = (*said, *([Line()] if said else []), *_blocks(answer, asked, shown))
    is_part = _drawn_part(answer, shown) is not answer
    footer = (*_provenance(answer, asked), *((next_line(asked, "deps", "--view", "table"),) if is_part else ()))
    found = reported("deps", answer, asked, blocks, footer)
    around = asked.query.get("service")
    return replace(found, graph=picture, title=f"Who calls whom around {around}" if around else "Who calls whom")


def _provenance(graph: Dependencies, asked: Asked) -> tuple[Line, ...]:
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


def _drawn_part(graph: Dependencies, shown: Shown) -> Dependencies:
    """Give what there is room for; the same where that is everything, as in a tree and a table."""
    if shown.is_part or shown.view in ("tree", "table"):
        return graph
    return _cut(graph, _MOST_CELLS if shown.view == "matrix" else _MOST_DRAWN)


def _blocks(graph: Dependencies, asked: Asked, shown: Shown) -> tuple[Block, ...]:
    if not graph.nodes:
        return (hint(_nothing(shown, is_live=asked.is_live)),)
    if shown.view == "table":
        return (_table(graph), *_doubts(graph), Line())
    drawn = _drawn_part(graph, shown)
    is_part = drawn is not graph
    told = _left_out(drawn, graph) if is_part else ""
    if shown.view == "matrix":
        return (matrix_of(drawn), *([hint(told)] if is_part else []), *_doubts(graph), Line())
    picture = graph_of(drawn, shown.view, shown.color_by, shown.changed)
    if is_part:
        whole = graph_of(graph, shown.view, shown.color_by, shown.changed)
        picture = replace(picture, whole=whole, left_out=told)
    return (picture, *_gone(shown.changed or {}), *_doubts(graph), Line())


def _nothing(shown: Shown, *, is_live: bool) -> str:
    if shown.is_limited:
        return "No such calls: leave --errors or --min-calls out to see the others"
    return "No calls between services: a longer --lookback?" if is_live else "No calls between services."


def _left_out(drawn: Dependencies, whole: Dependencies) -> str:
    return (
        f"the busiest {format_count(len(drawn.drawn))} of {plural(len(whole.drawn), 'edge')} and "
        f"{format_count(len(drawn.nodes))} of {plural(len(whole.nodes), 'node')}: --service NAME shows what is around "
        "one node, --collapse 'team-*' draws several as one"
    )


def _gone(changed: Mapping[tuple[str, str, bool], str]) -> tuple[Line, ...]:
    gone = [f"{caller} → {callee}" for (caller, callee, _), change in changed.items() if change == "gone"]
    return (hint(f"gone since the last time: {', '.join(gone)}"),) if gone else ()


def _doubts(graph: Dependencies) -> tuple[Line, ...]:
    """Tell what only one of Jaeger's table and the traces knows, and which calls are not recorded as a whole."""
    found = disagreement(graph)
    lines = []
    for where, calls in (("Jaeger's table", found.only_jaeger), ("the traces", found.only_traces)):
        if calls:
            lines.append(strong(f"only in {where}: {_listed(calls)}"))
    rejoined = sum(call.counted.rejoined_count for call in graph.calls if not call.via)
    if rejoined:
        lines.append(dim(f"{plural(rejoined, 'call')} with a missing span: other traces show who called"))
    return tuple(lines)


def _listed(calls: Sequence[Dependency]) -> str:
    ranked = sorted(calls, key=lambda call: (-call.call_count, call))
    told = [f"{call.caller} → {call.callee} {format_count(call.call_count)}" for call in ranked[:_MOST_TOLD]]
    more = len(ranked) - len(told)
    return ", ".join(told) + (f" and {format_count(more)} more" if more else "")


_CALLER, _CALLEE, _CALLS, _PER_TRACE, _ERRORS, _CALLEE_P95, _NETWORK, _QUEUE, _JAEGER, _VIA = picked(
    DEPENDENCY_COLUMNS,
    *("caller", "callee", "call_count", "calls_per_trace", "error_count"),
    *("callee_time.p95_ns", "network_time.p50_ns", "queue_delay.p50_ns", "jaeger_count", "via"),
)


def _time(quantile: float, title: str, priority: int) -> Column[Dependency]:
    """Give a column of how long calls take as their callers see it, or else their callees."""

    def value(call: Dependency) -> int | None:
        return call.time.percentile(quantile) if call.time else None

    return Column(title, title, Unit.DURATION, value, priority=priority)


_COLUMNS: tuple[Column[Dependency], ...] = (
    _CALLER,
    _CALLEE,
    # It tells calls apart that have the same ends.
    replace(_VIA, priority=1, least_width=8),
    _CALLS,
    replace(_ERRORS, priority=1),
    _time(0.5, "p50", 3),
    _time(0.95, "p95", 2),
    Column("max", "max", Unit.DURATION, lambda call: call.time.max_ns if call.time else None, priority=6),
    replace(_CALLEE_P95, title="callee p95", priority=8),
    replace(_NETWORK, title="network p50", priority=7),
    replace(_QUEUE, title="queue p50", priority=7),
    replace(_PER_TRACE, priority=6),
    Column("protocol", "protocol", value=lambda call: call.protocol or None, can_shrink=True, priority=5),
    Column("async", "async", value=lambda call: "yes" if call.is_async else None, priority=4),
    replace(_JAEGER, priority=4),
)


def _table(graph: Dependencies) -> Table:
    found = table(_COLUMNS, graph.calls)
    # Columns without any value are left out.
    used = [
        number
        for number in range(len(_COLUMNS))
        if not _COLUMNS[number].priority or any(row[number] is not None for row in found.rows)
    ]
    return table((_COLUMNS[number] for number in used), graph.calls)


_ARROW = " → "


def _answer(answer: Cycles | Ways | Impact | CriticalCalls, asked: Asked, *blocks: Block) -> Report:
    blocks = (*verdict_lines(answer.verdict, asked), *blocks, Line())
    return reported("deps", answer, asked, blocks, _provenance(answer.graph, asked))


@report_of.register
def cycles_report(answer: Cycles, asked: Asked = NOT_ASKED) -> Report:
    """Show who calls itself."""
    lines = [
        Line((Part(f" {_ARROW.join(cycle.example)}"), Part(f"   {_remark(cycle)}", "dim"))) for cycle in answer.cycles
    ]
    return _answer(answer, asked, *lines)


def _remark(cycle: Cycle) -> str:
    size = len(cycle.names)
    parts = [plural(cycle.call_count, "call") + (" at least" if size > 1 else "")]
    parts += ["a message on the way: nobody waits for itself"] if not cycle.is_blocking else []
    parts += [f"one ring of {size} that all reach each other"] if size > len(cycle.example) - 1 else []
    return ", ".join(parts)


@report_of.register
def ways_report(answer: Ways, asked: Asked = NOT_ASKED) -> Report:
    """Show how one node reaches another."""
    return _answer(answer, asked, *map(_way_line, answer.ways))


def _way_line(way: Way) -> Line:
    """Write a way as a chain, with each call beside what it calls."""
    parts = [Part(f" {way.calls[0].caller}")]
    for call in way.calls:
        told = [plural(call.call_count, "call")]
        told += [f"p95 {format_duration(call.time.percentile(0.95))}"] if call.time else []
        told += ["asynchronous"] if call.is_async else []
        parts += [Part(_ARROW, "dim"), Part(call.callee), Part(f" ({', '.join(told)})", "dim")]
    return Line(tuple(parts))


@report_of.register
def impact_report(answer: Impact, asked: Asked = NOT_ASKED) -> Report:
    """Show who is affected when a node fails."""
    blocks: list[Block] = []
    # Without traces there are no shares to tell.
    columns = AFFECTED_COLUMNS[:3] if answer.trace_count is None else AFFECTED_COLUMNS
    if answer.affected:
        blocks += [Line(), table(columns, answer.affected)]
    if answer.starved:
        blocks += [Line(), Line((Part(f"Without its messages: {', '.join(answer.starved)}."),))]
    return _answer(answer, asked, *blocks)


@report_of.register
def critical_report(answer: CriticalCalls, asked: Asked = NOT_ASKED) -> Report:
    """Show which calls hold critical time."""
    whole, outside_ns = answer.graph.critical_ns, answer.outside_ns
    if not whole or outside_ns is None:
        told = "No traces, so no critical time: Jaeger's own table only counts."
        return _answer(answer, asked, answer_line((Part(told, "strong"),), asked))

    def ratio(call: Dependency) -> float:
        return call.held_ns / whole

    caller, callee, held, calls = picked(DEPENDENCY_COLUMNS, "caller", "callee", "critical_ns", "call_count")
    columns: tuple[Column[Dependency], ...] = (
        caller,
        callee,
        held,
        Column("critical_ratio", "of all", Unit.RATIO, ratio),
        Column("bar", "", Unit.BAR, ratio, priority=2),
        replace(calls, priority=1),
        Column("critical_per_call_ns", "a call", Unit.DURATION, _per_call, priority=3),
    )
    holding = [call for call in answer.calls if call.held_ns]
    where = (
        f"{format_ratio(outside_ns / whole)} of {format_duration(whole)} is in no call shown: the work of the services "
        "that were asked first"
    )
    return _answer(answer, asked, Line(), table(columns, holding), Line(), dim(where))


def _per_call(call: Dependency) -> int | None:
    return call.held_ns // call.call_count if call.call_count else None
