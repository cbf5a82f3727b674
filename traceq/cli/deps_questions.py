"""Answers to questions about the graph: `deps --cycles`, `--path`, `--impact`, `--critical`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traceq.cli.deps_ask import Answer, known_name
from traceq.cli.deps_options import DepsOptions
from traceq.report import Block, Column, Line, Part, Report, Table, Unit
from traceq.units import format_count, format_duration, format_ratio, plural

if TYPE_CHECKING:
    from traceq.analysis.dependencies import Dependencies, Dependency
    from traceq.analysis.graph_questions import Cycle, Way
    from traceq.analysis.impact import Impact

_ARROW, _ASYNC_ARROW = " -> ", " ..> "


def question_report(answer: Answer, dependencies: Dependencies, options: DepsOptions, location: str) -> Report | None:
    """Answer the question that was asked; None when none was.

    Raises:
        NotFoundError: If a service that is asked about is not in the graph.
    """
    question = options.question
    if question.cycles:
        return _cycles_report(dependencies)
    if question.path is not None:
        start, end = (known_name(name, dependencies, location) for name in question.path)
        return _path_report(dependencies, start, end)
    if question.impact is not None:
        return _impact_report(answer, dependencies, known_name(question.impact, dependencies, location))
    if question.critical:
        return _critical_report(dependencies)
    return None


def _report(document: dict[str, object], table: Table, *blocks: Block) -> Report:
    return Report("deps", document, table, (*blocks, Line()))


def _text(text: str, role: str = "plain") -> Line:
    return Line((Part(text, "strong" if role == "strong" else "plain"),))


def _cycles_report(dependencies: Dependencies) -> Report:
    from traceq.analysis.graph_questions import cycles

    found = cycles(dependencies)
    table = Table(
        (
            Column("nodes", "who", can_shrink=True),
            Column("example", "shortest ring", can_shrink=True),
            Column("call_count", "calls", Unit.COUNT),
            Column("is_blocking", "blocking", priority=1),
        ),
        tuple((cycle.names, _ring(cycle), cycle.call_count, cycle.is_blocking) for cycle in found),
    )
    document: dict[str, object] = {"question": "cycles", "cycles": [cycle.to_dict() for cycle in found]}
    if not found:
        return _report(document, table, _text("no cycles: nobody calls itself, directly or through others"))
    lines = [Line((Part(f" {_ring(cycle)}"), Part(f"   {_remark(cycle)}", "dim"))) for cycle in found]
    return _report(document, table, _text(plural(len(found), "cycle"), "strong"), *lines)


def _ring(cycle: Cycle) -> str:
    return _ARROW.join(cycle.example)


def _remark(cycle: Cycle) -> str:
    size = len(cycle.names)
    parts = [plural(cycle.call_count, "call") + (" at least" if size > 1 else "")]
    parts += ["a message on the way: nobody waits for itself"] if not cycle.is_blocking else []
    parts += [f"one ring of {size} that all reach each other"] if size > len(cycle.example) - 1 else []
    return ", ".join(parts)


def _path_report(dependencies: Dependencies, start: str, end: str) -> Report:
    from traceq.analysis.graph_questions import ways

    found = ways(dependencies, start, end)
    rows = tuple(
        (number, call.caller, call.callee, call.call_count, call.is_async)
        for number, way in enumerate(found, 1)
        for call in way.calls
    )
    table = Table(
        (
            Column("way", "way"),
            Column("caller", "caller"),
            Column("callee", "callee"),
            Column("call_count", "calls", Unit.COUNT),
            Column("asynchronous", "async"),
        ),
        rows,
    )
    document: dict[str, object] = {
        "question": "path",
        "from": start,
        "to": end,
        "ways": [way.to_dict() for way in found],
    }
    if not found:
        back = f"; {end} reaches {start}" if ways(dependencies, end, start, 1) else ""
        return _report(document, table, _text(f"{start} does not reach {end}{back}"))
    title = _text(f"{start} reaches {end} in {plural(len(found), 'way')}, the shortest first", "strong")
    return _report(document, table, title, *(_way_line(way) for way in found))


def _way_line(way: Way) -> Line:
    parts = [Part(f" {way.calls[0].caller}", "plain")]
    for call in way.calls:
        parts += [Part(_ASYNC_ARROW if call.is_async else _ARROW, "dim"), Part(call.callee)]
    slow = [call.time.percentile(0.95) for call in way.calls if call.time]
    counts = ", ".join(format_count(call.call_count) for call in way.calls)
    told = f"   calls {counts}" + (f"; p95 {', '.join(map(format_duration, slow))}" if slow else "")
    return Line((*parts, Part(told, "dim")))


def _impact_report(answer: Answer, dependencies: Dependencies, target: str) -> Report:
    from traceq.analysis.impact import impact

    found = impact(dependencies, target, answer.impact)
    rows = tuple(
        (one.name, one.distance, one.through, one.trace_count, one.seen_count, one.ratio) for one in found.affected
    )
    table = Table(
        (
            Column("name", "affected", Unit.SERVICE, can_shrink=True),
            Column("distance", "calls away", Unit.COUNT),
            Column("through", "through", Unit.SERVICE, can_shrink=True),
            Column("trace_count", "traces", Unit.COUNT),
            Column("seen_count", "of", Unit.COUNT),
            Column("trace_ratio", "share", Unit.RATIO),
        ),
        rows,
    )
    document: dict[str, object] = {"question": "impact", **found.to_dict()}
    return _report(document, table, *_impact_blocks(found, table))


def _impact_blocks(found: Impact, table: Table) -> list[Block]:
    share = ""
    if found.trace_count and found.needing_count is not None:
        ratio = format_ratio(found.needing_count / found.trace_count)
        share = f": in {format_count(found.needing_count)} of {plural(found.trace_count, 'trace')} ({ratio})"
    blocks: list[Block] = [_text(f"when {found.target} fails{share}", "strong"), Line()]
    blocks += [_without_shares(table) if found.trace_count is None else table] if found.affected else []
    blocks += [] if found.affected else [_text(" nobody waits for it")]
    if found.starved:
        blocks += [Line(), _text(f" without its messages: {', '.join(found.starved)}")]
    return blocks


def _without_shares(table: Table) -> Table:
    return Table(table.columns[:3], tuple(row[:3] for row in table.rows))


def _critical_report(dependencies: Dependencies) -> Report:
    ranked = sorted(dependencies.drawn, key=lambda call: (-_held(call), call))
    whole = dependencies.critical_ns
    rows = tuple(
        (
            call.caller,
            call.callee,
            _held(call),
            _held(call) / whole if whole else 0.0,
            _held(call) / whole if whole else 0.0,
            call.call_count,
            _held(call) // call.call_count if call.call_count else None,
        )
        for call in ranked
        if _held(call)
    )
    table = Table(
        (
            Column("caller", "caller", Unit.SERVICE, can_shrink=True),
            Column("callee", "callee", Unit.SERVICE, can_shrink=True),
            Column("critical_ns", "critical", Unit.DURATION),
            Column("critical_ratio", "of all", Unit.RATIO),
            Column("bar", "", Unit.BAR, priority=2),
            Column("call_count", "calls", Unit.COUNT, priority=1),
            Column("critical_per_call_ns", "a call", Unit.DURATION, priority=3),
        ),
        rows,
    )
    held = sum(_held(call) for call in dependencies.drawn)
    document: dict[str, object] = {
        "question": "critical",
        "critical_ns": whole,
        "before_first_call_ns": whole - held,
        "dependencies": [call.to_dict() for call in ranked],
    }
    if not whole:
        return _report(document, table, _text("no traces, so no critical time: Jaeger's own table only counts"))
    rest = format_ratio((whole - held) / whole)
    note = f"{rest} of {format_duration(whole)} is in no call shown: the work of whoever was asked first"
    return _report(document, table, table, Line(), _text(note))


def _held(call: Dependency) -> int:
    return call.sums.critical_ns if call.sums else 0
