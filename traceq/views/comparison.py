"""What `traceq compare` shows of two sets of traces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from traceq.analysis.comparison.compare import Comparison, EdgeChange, OperationChange, ServiceChange, Side
from traceq.analysis.comparison.measuring import Estimate
from traceq.analysis.comparison.tags import TagChange, TagChanges
from traceq.analysis.comparison.verdict import judge
from traceq.report import Block, Column, Line, Part, Report, Table, Unit, Value
from traceq.units import NS_PER_MS, format_duration, plural

_LEAST_RATIO = 0.005
"""Changes below this share of the latency are left to the machine formats."""
_MULTIPLIED = 1.5
_HALF = 0.5
_UNMATCHED_SHOWN = 3
_WHOLE = 10
_LEAST_CALLS = 0.02
"""Calls a request, on either side, from which on a change is told."""


@dataclass(frozen=True, slots=True)
class SetNames:
    """What the two sets are called."""

    before: str
    after: str
    location: str
    """Of the second."""
    is_live: bool


def comparison_report(comparison: Comparison, tags: TagChanges, names: SetNames, top: int) -> Report:
    """Draw what changed: the verdict first, then what it rests on."""
    verdict = judge(comparison)
    blocks: list[Block] = [Line((Part(verdict.headline, "strong"),))]
    blocks += [Line((Part(f"  {remark}"),)) for remark in verdict.remarks]
    blocks += [Line(), _requests(comparison, names)]
    if verdict.outcome != "incomparable":
        blocks += _changes(comparison, top)
    blocks += _tag_blocks(tags, top)
    document = {"verdict": verdict.to_dict(), **comparison.to_dict(), "tags": tags.to_dict()}
    example = next((change.example_id for change in comparison.services if change.service == verdict.service), "")
    footer = _footer(comparison, tags, names, example)
    return Report("compare", document, _records(comparison), tuple(blocks), footer)


def _requests(comparison: Comparison, names: SetNames) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("side", "", can_shrink=True),
        Column("request_count", "requests", Unit.COUNT),
        Column("failed_count", "failed", Unit.ERRORS),
        Column("mean_ns", "mean", Unit.DURATION),
        Column("p50_ns", "p50", Unit.DURATION),
        Column("p95_ns", "p95", Unit.DURATION),
        Column("p99_ns", "p99", Unit.DURATION, priority=1),
        Column("max_ns", "max", Unit.DURATION, priority=2),
    )
    latency = comparison.latency
    rows = (
        _request_row(f"before: {names.before}", comparison.before, latency.before),
        _request_row(f"after: {names.after}", comparison.after, latency.after),
    )
    return Table(columns, rows)


def _request_row(title: str, side: Side, mean_ns: float) -> tuple[Value, ...]:
    if not side.request_count:
        return (title, 0, 0, None, None, None, None, None)
    percentiles = (side.latency.percentile(quantile) for quantile in (0.5, 0.95, 0.99))
    return (title, side.request_count, side.failed_count, round(mean_ns), *percentiles, side.latency.max_ns)


def _changes(comparison: Comparison, top: int) -> list[Block]:
    latency_ns = (comparison.latency.before + comparison.latency.after) / 2

    def matters(change: Estimate) -> bool:
        return abs(change.change) >= max(_LEAST_RATIO * latency_ns, 1)

    services = [change for change in comparison.services if matters(change.held)]
    operations = [change for change in comparison.operations if matters(change.held)]
    edges = [change for change in comparison.edges if matters(change.between) and change.between.is_sure]
    blocks: list[Block] = []
    blocks += _section("Services, by the time they hold a request", _service_table(_ends(services, top)))
    blocks += _section("Operations", _operation_table(_ends(operations, top)))
    blocks += _section("Between services", _edge_table(_ends(edges, top)))
    blocks += _section("Calls a request", _call_table([c for c in comparison.operations if _is_multiplied(c)][:top]))
    blocks += _section("Errors a request", _error_table([c for c in comparison.operations if c.errors.is_sure][:top]))
    return blocks


def _section(title: str, table: Table) -> list[Block]:
    return [Line(), Line((Part(title, "strong"),)), table] if table.rows else []


_Change = TypeVar("_Change", ServiceChange, OperationChange, EdgeChange)


def _ends(changes: Sequence[_Change], top: int) -> list[_Change]:
    """Keep what changed most, either way; what holds requests longer stays first."""
    if len(changes) <= top:
        return list(changes)
    bound = sorted((abs(_held(change).change) for change in changes), reverse=True)[top - 1]
    return [change for change in changes if abs(_held(change).change) >= bound][:top]


def _held(change: ServiceChange | OperationChange | EdgeChange) -> Estimate:
    return change.between if isinstance(change, EdgeChange) else change.held


_TIMES: tuple[Column[Any], ...] = (
    Column("change_ns", "change", Unit.DURATION),
    Column("interval", "95 % interval", priority=1),
    Column("sure", "sure"),
    Column("before_ns", "before", Unit.DURATION, priority=1),
    Column("after_ns", "after", Unit.DURATION),
)


def _times(change: Estimate) -> tuple[Value, ...]:
    return (round(change.change), _interval(change), certainty(change), round(change.before), round(change.after))


def certainty(change: Estimate) -> str:
    """Say in a word how sure a change is."""
    return "yes" if change.is_sure else "likely" if change.is_likely else "no"


def _interval(change: Estimate) -> str:
    if not math.isfinite(change.low):
        return "-"
    return f"{format_duration(round(change.low))} .. {format_duration(round(change.high))}"


def _service_table(changes: Sequence[ServiceChange]) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("service", "service", Unit.SERVICE, can_shrink=True),
        Column("bar", "", Unit.BAR, priority=4),
        *_TIMES,
        Column("between_ns", "between", Unit.DURATION, priority=3),
        Column("calls", "calls", priority=2),
    )
    most = max((abs(change.held.change) for change in changes), default=0) or 1
    rows = [
        (
            change.service,
            abs(change.held.change) / most,
            *_times(change.held),
            round(change.between_ns),
            _calls(change.calls),
        )
        for change in changes
    ]
    return Table(columns, tuple(rows))


def _operation_table(changes: Sequence[OperationChange]) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("operation", "operation", can_shrink=True),
        Column("service", "service", Unit.SERVICE, can_shrink=True),
        *_TIMES,
        Column("p95", "p95", priority=2),
        Column("calls", "calls", priority=3),
    )
    return Table(columns, tuple(_operation_row(change) for change in changes))


def _operation_row(change: OperationChange) -> tuple[Value, ...]:
    key = change.key
    return (
        key.name,
        key.service if key.peer is None else f"{key.service} → {key.peer.system}",
        *_times(change.held),
        _arrow(
            *(format_duration(side.percentile(0.95)) if side.count else "-" for side in (change.before, change.after))
        ),
        _calls(change.calls),
    )


def _edge_table(changes: Sequence[EdgeChange]) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("edge", "caller → callee", can_shrink=True),
        *_TIMES,
        Column("charged", "charged to", priority=2),
        Column("calls", "calls", priority=3),
    )
    rows = [
        (
            f"{change.caller} → {change.callee}",
            *_times(change.between),
            change.caller if change.caller_share >= _HALF else change.callee,
            _calls(change.calls),
        )
        for change in changes
    ]
    return Table(columns, tuple(rows))


def _is_multiplied(change: OperationChange) -> bool:
    """Tell whether an operation is called a good deal more or less often than before, or came or went."""
    low, high = sorted((change.calls.before, change.calls.after))
    return change.calls.is_sure and high >= _LEAST_CALLS and high >= _MULTIPLIED * low


def _call_table(changes: Sequence[OperationChange]) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("operation", "operation", can_shrink=True),
        Column("service", "service", Unit.SERVICE, can_shrink=True),
        Column("calls", "calls"),
        Column("what", "", priority=1),
    )
    rows = [(change.key.name, change.key.service, _calls(change.calls), _what(change.calls)) for change in changes]
    return Table(columns, tuple(rows))


def _what(calls: Estimate) -> str:
    if not calls.before:
        return "new"
    if not calls.after:
        return "gone"
    return f"x {_count(calls.after / calls.before)}"


def _error_table(changes: Sequence[OperationChange]) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("operation", "operation", can_shrink=True),
        Column("service", "service", Unit.SERVICE, can_shrink=True),
        Column("errors", "errors"),
        Column("calls", "of calls", priority=1),
    )
    rows = [(change.key.name, change.key.service, _calls(change.errors), _calls(change.calls)) for change in changes]
    return Table(columns, tuple(rows))


def _calls(calls: Estimate) -> str:
    return _arrow(_count(calls.before), _count(calls.after))


def _count(value: float) -> str:
    """Write a mean count: two significant digits, whole from ten on."""
    return f"{value:.0f}" if value >= _WHOLE or value == 0 else f"{value:.2g}"


def _arrow(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _tag_blocks(tags: TagChanges, top: int) -> list[Block]:
    columns: tuple[Column[Any], ...] = (
        Column("tag", "tag", can_shrink=True),
        Column("before_ratio", "before", Unit.RATIO),
        Column("after_ratio", "after", Unit.RATIO),
        Column("lift", "times"),
        Column("after_count", "traces", Unit.COUNT, priority=1),
        Column("alike", "the same traces", can_shrink=True, priority=2),
    )
    table = Table(columns, tuple(_tag_row(change) for change in tags.changes[:top]))
    return _section("Tags that stand out after", table)


def _tag_row(change: TagChange) -> tuple[Value, ...]:
    alike = [f"{key}={value}" for key, value in change.alike]
    return (
        f"{change.key}={change.value}",
        change.before_ratio,
        change.after_ratio,
        "new" if change.lift is None else f"x {_count(change.lift)}",
        change.after_count,
        ", ".join(alike) or None,
    )


def _footer(comparison: Comparison, tags: TagChanges, names: SetNames, example: str) -> tuple[Line, ...]:
    told = [_looked_at(comparison)]
    for title, side in (("before", comparison.before), ("after", comparison.after)):
        if side.unmatched:
            told.append(f"only {title}, so compared with nothing: {_unmatched(side.unmatched)}")
    sampled, traces = tags.before_sampled + tags.after_sampled, tags.before_traces + tags.after_traces
    if sampled < traces:
        told.append(f"tags counted in {plural(sampled, 'trace')} of {plural(traces, 'trace')}, chosen by their ids")
    if tags.left_out:
        told.append(f"tags left out, as they have thousands of values: {', '.join(tags.left_out)}")
    lines = [Line((Part(text, "dim"),)) for text in told]
    if example:
        flag = "" if names.is_live else f" --source {names.location}"
        lines.append(Line((Part(f"next: traceq show {example}{flag}", "hint"),)))
    return tuple(lines)


def _unmatched(counts: dict[str, int]) -> str:
    most = sorted(counts, key=lambda name: (-counts[name], name))
    shown = [f"{counts[name]} of {name}" for name in most[:_UNMATCHED_SHOWN]]
    if len(most) > _UNMATCHED_SHOWN:
        rest = sum(counts[name] for name in most[_UNMATCHED_SHOWN:])
        shown.append(f"{rest} of {plural(len(most) - _UNMATCHED_SHOWN, 'other operation')}")
    return ", ".join(shown)


def _looked_at(comparison: Comparison) -> str:
    sides = (comparison.before, comparison.after)
    told = " and ".join(f"{plural(side.span_count, 'span')} of {plural(side.trace_count, 'trace')}" for side in sides)
    shift_ns = max(side.largest_shift_ns for side in sides)
    if shift_ns < NS_PER_MS:
        return told
    moved = plural(sum(side.moved_span_count for side in sides), "span")
    return f"{told}; clocks corrected: {moved} moved by up to {format_duration(shift_ns)}"


def _records(comparison: Comparison) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("level", "level"),
        Column("service", "service", Unit.SERVICE),
        Column("operation", "operation"),
        Column("kind", "kind"),
        Column("peer", "peer"),
        Column("callee", "callee", Unit.SERVICE),
        Column("change_ns", "change", Unit.DURATION),
        Column("change_low_ns", "low", Unit.DURATION),
        Column("change_high_ns", "high", Unit.DURATION),
        Column("certainty", "sure"),
        Column("effect_size", "effect"),
        Column("before_ns", "before", Unit.DURATION),
        Column("after_ns", "after", Unit.DURATION),
        Column("between_change_ns", "between", Unit.DURATION),
        Column("calls_before", "calls before"),
        Column("calls_after", "calls after"),
        Column("errors_before", "errors before"),
        Column("errors_after", "errors after"),
    )
    rows: list[tuple[Value, ...]] = [
        (
            "service",
            line.service,
            None,
            None,
            None,
            None,
            *_numbers(line.held, line.between_ns, line.calls, line.errors),
        )
        for line in comparison.services
    ]
    rows += [_operation_record(line) for line in comparison.operations]
    rows += [
        ("edge", line.caller, None, None, None, line.callee, *_numbers(line.between, line.between.change, line.calls))
        for line in comparison.edges
    ]
    return Table(columns, tuple(rows))


def _operation_record(line: OperationChange) -> tuple[Value, ...]:
    key = line.key
    return (
        "operation",
        key.service,
        key.name,
        key.kind.name.lower(),
        None if key.peer is None else key.peer.label,
        None,
        *_numbers(line.held, line.between_ns, line.calls, line.errors),
    )


def _numbers(held: Estimate, between_ns: float, calls: Estimate, errors: Estimate | None = None) -> tuple[Value, ...]:
    ends = [round(end) if math.isfinite(end) else None for end in (held.low, held.high)]
    return (
        round(held.change),
        *ends,
        certainty(held),
        held.effect,
        round(held.before),
        round(held.after),
        round(between_ns),
        calls.before,
        calls.after,
        None if errors is None else errors.before,
        None if errors is None else errors.after,
    )
