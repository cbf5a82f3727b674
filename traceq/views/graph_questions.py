"""Answers to questions about the graph: `deps --cycles`, `--path`, `--impact`, `--critical`."""

from __future__ import annotations

from dataclasses import replace

from traceq.analysis.dependencies import DEPENDENCY_COLUMNS, Dependency
from traceq.analysis.graph_questions import CriticalCalls, Cycle, Cycles, Way, Ways
from traceq.analysis.impact import AFFECTED_COLUMNS, Impact
from traceq.answer import Answer, report_of
from traceq.asked import Asked
from traceq.report import Block, Column, Line, Part, Report, Unit, picked, table
from traceq.units import format_count, format_duration, format_ratio, plural
from traceq.views.dependencies import provenance

_ARROW, _ASYNC_ARROW = " -> ", " ..> "
_NO_ASKED = Asked()


def _report(answer: Answer, footer: tuple[Line, ...], *blocks: Block) -> Report:
    return Report("deps", answer.to_dict(), answer.records(), (*blocks, Line()), footer)


def _strong(text: str) -> Line:
    return Line((Part(text, "strong"),))


def _plain(text: str) -> Line:
    return Line((Part(text),))


@report_of.register
def cycles_report(answer: Cycles, asked: Asked = _NO_ASKED) -> Report:
    """Show who calls itself."""
    footer = provenance(answer.graph, asked)
    if not answer.cycles:
        nobody = _plain("no cycles: nobody calls itself, directly or through others")
        return _report(answer, footer, nobody)
    lines = [Line((Part(f" {_ring(cycle)}"), Part(f"   {_remark(cycle)}", "dim"))) for cycle in answer.cycles]
    return _report(answer, footer, _strong(plural(len(answer.cycles), "cycle")), *lines)


def _ring(cycle: Cycle) -> str:
    return _ARROW.join(cycle.example)


def _remark(cycle: Cycle) -> str:
    size = len(cycle.names)
    parts = [plural(cycle.call_count, "call") + (" at least" if size > 1 else "")]
    parts += ["a message on the way: nobody waits for itself"] if not cycle.is_blocking else []
    parts += [f"one ring of {size} that all reach each other"] if size > len(cycle.example) - 1 else []
    return ", ".join(parts)


@report_of.register
def ways_report(answer: Ways, asked: Asked = _NO_ASKED) -> Report:
    """Show how one node reaches another."""
    footer = provenance(answer.graph, asked)
    if not answer.ways:
        back = f"; {answer.end} reaches {answer.start}" if answer.leads_back else ""
        return _report(answer, footer, _plain(f"{answer.start} does not reach {answer.end}{back}"))
    ways = plural(len(answer.ways), "way")
    title = _strong(f"{answer.start} reaches {answer.end} in {ways}, the shortest first")
    return _report(answer, footer, title, *(_way_line(way) for way in answer.ways))


def _way_line(way: Way) -> Line:
    parts = [Part(f" {way.calls[0].caller}", "plain")]
    for call in way.calls:
        parts += [Part(_ASYNC_ARROW if call.is_async else _ARROW, "dim"), Part(call.callee)]
    slow = [call.time.percentile(0.95) for call in way.calls if call.time]
    counts = ", ".join(format_count(call.call_count) for call in way.calls)
    told = f"   calls {counts}" + (f"; p95 {', '.join(map(format_duration, slow))}" if slow else "")
    return Line((*parts, Part(told, "dim")))


@report_of.register
def impact_report(answer: Impact, asked: Asked = _NO_ASKED) -> Report:
    """Show who is affected when a node fails."""
    share = ""
    if answer.trace_count and answer.needing_count is not None:
        ratio = format_ratio(answer.needing_count / answer.trace_count)
        share = f": in {format_count(answer.needing_count)} of {plural(answer.trace_count, 'trace')} ({ratio})"
    blocks: list[Block] = [_strong(f"when {answer.target} fails{share}"), Line()]
    # Without traces there are no shares to tell.
    columns = AFFECTED_COLUMNS[:3] if answer.trace_count is None else AFFECTED_COLUMNS
    blocks.append(table(columns, answer.affected) if answer.affected else _plain(" nobody waits for it"))
    if answer.starved:
        blocks += [Line(), _plain(f" without its messages: {', '.join(answer.starved)}")]
    return _report(answer, provenance(answer.graph, asked), *blocks)


@report_of.register
def critical_report(answer: CriticalCalls, asked: Asked = _NO_ASKED) -> Report:
    """Show which calls hold critical time."""
    whole, outside_ns, footer = answer.graph.critical_ns, answer.outside_ns, provenance(answer.graph, asked)
    if not whole or outside_ns is None:
        nothing = _plain("no traces, so no critical time: Jaeger's own table only counts")
        return _report(answer, footer, nothing)

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
    note = (
        f"{format_ratio(outside_ns / whole)} of {format_duration(whole)} is in no call shown: the work of the services"
    )
    holding = [call for call in answer.calls if call.held_ns]
    where = _plain(f"{note} that were asked first")
    return _report(answer, footer, table(columns, holding), Line(), where)


def _per_call(call: Dependency) -> int | None:
    return call.held_ns // call.call_count if call.call_count else None
