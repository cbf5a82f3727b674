"""What `traceq compare` shows of two single traces."""

from __future__ import annotations

from typing import Any

from traceq.analysis.comparison.alignment import AlignedCall, Alignment, Calls
from traceq.report import Block, Column, Line, Part, Report, Table, Unit, Value
from traceq.units import format_duration, plural

_SHOWN_WHOLE = 40
"""So many rows are shown whatever they say; of more only those that tell a difference, and what leads to them."""
_LEAST_RATIO = 0.01


def alignment_report(alignment: Alignment) -> Report:
    """Draw two traces side by side."""
    shown = _shown(alignment)
    blocks: list[Block] = [Line((Part(headline(alignment), "strong"),)), Line(), _table(shown)]
    footer = [Line((Part(f"before {alignment.before_id}, after {alignment.after_id}", "dim"),))]
    if len(shown) < len(alignment.calls):
        hidden = plural(len(alignment.calls) - len(shown), "call path")
        left_out = f"{hidden} without a difference worth a line left out, --format json has all"
        footer.append(Line((Part(left_out, "dim"),)))
    document = {"headline": headline(alignment), **alignment.to_dict()}
    return Report("compare", document, _records(alignment), tuple(blocks), tuple(footer))


def headline(alignment: Alignment) -> str:
    """Say how much longer the second trace takes, and what makes it so."""
    change_ns = alignment.after_ns - alignment.before_ns
    told = f"{format_duration(alignment.before_ns)} → {format_duration(alignment.after_ns)}"
    greatest = alignment.greatest
    if greatest is None:
        return f"Nothing changed: {told}, every call on the critical path holds it as long"
    how = "longer" if change_ns > 0 else "less long" if change_ns < 0 else "as long"
    by = f" by {format_duration(abs(change_ns))}" if change_ns else ""
    return f"The second trace takes {how}{by} ({told}): {_cause(greatest)}"


def _cause(call: AlignedCall) -> str:
    amount = format_duration(abs(call.held_change_ns))
    where = f"{call.name} of {call.service}"
    if call.before is None:
        return f"{where} is extra and holds it {amount}"
    if call.after is None:
        return f"{where} is missing, which held the first {amount}"
    repeated = f", {len(call.before.span_ids)} → {len(call.after.span_ids)} calls" if call.call_change else ""
    return f"{where} holds it {amount} {'longer' if call.held_change_ns > 0 else 'less long'}{repeated}"


def _shown(alignment: Alignment) -> list[AlignedCall]:
    """Keep the paths that differ, and those above them."""
    if len(alignment.calls) <= _SHOWN_WHOLE:
        return list(alignment.calls)
    least_ns = _LEAST_RATIO * max(alignment.before_ns, alignment.after_ns, 1)
    kept: list[AlignedCall] = []
    # From the end: a call is kept when one below it was, and what is below comes after it.
    wanted_depth = -1
    for call in reversed(alignment.calls):
        if _differs(call, least_ns) or call.depth == wanted_depth:
            kept.append(call)
            wanted_depth = call.depth - 1
        elif call.depth < wanted_depth:
            wanted_depth = -1
    return kept[::-1]


def _differs(call: AlignedCall, least_ns: float) -> bool:
    return bool(call.call_change) or abs(call.duration_change_ns) >= least_ns or abs(call.held_change_ns) >= least_ns


def _table(calls: list[AlignedCall]) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("operation", "operation", can_shrink=True),
        Column("service", "service", Unit.SERVICE, can_shrink=True, priority=2),
        Column("before_ns", "before", Unit.DURATION),
        Column("after_ns", "after", Unit.DURATION),
        Column("change_ns", "change", Unit.DURATION),
        Column("held_change_ns", "on path", Unit.DURATION),
        Column("self_change_ns", "self", Unit.DURATION, priority=3),
        Column("note", "", priority=1),
    )
    return Table(columns, tuple(_row(call) for call in calls))


def _row(call: AlignedCall) -> tuple[Value, ...]:
    before, after = call.before, call.after
    return (
        "  " * call.depth + call.name,
        call.service,
        before.duration_ns if before else None,
        after.duration_ns if after else None,
        call.duration_change_ns,
        call.held_change_ns,
        _self_ns(after) - _self_ns(before),
        _note(call),
    )


def _self_ns(calls: Calls | None) -> int:
    return calls.self_ns if calls else 0


def _note(call: AlignedCall) -> str:
    before, after = call.before, call.after
    if before is None and after is not None:
        return f"extra{_times(after)}"
    if after is None and before is not None:
        return f"missing{_times(before)}"
    notes = []
    if before is not None and after is not None:
        if call.call_change:
            notes.append(f"{len(before.span_ids)} → {len(after.span_ids)} calls")
        elif len(after.span_ids) > 1:
            notes.append(f"{len(after.span_ids)} calls")
        if before.error_count != after.error_count:
            notes.append(f"{before.error_count} → {plural(after.error_count, 'error')}")
    return ", ".join(notes)


def _times(calls: Calls) -> str:
    return f", {plural(len(calls.span_ids), 'call')}" if len(calls.span_ids) > 1 else ""


def _records(alignment: Alignment) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("depth", "depth", Unit.COUNT),
        Column("service", "service", Unit.SERVICE),
        Column("operation", "operation"),
        *(
            Column(f"{key}_{side}", f"{key} {side}", unit)
            for side in ("before", "after")
            for key, unit in (("calls", Unit.COUNT), ("errors", Unit.ERRORS))
        ),
        *(
            Column(f"{key}_{side}_ns", f"{key} {side}", Unit.DURATION)
            for side in ("before", "after")
            for key in ("start", "duration", "self", "critical")
        ),
        Column("span_ids_before", "spans before"),
        Column("span_ids_after", "spans after"),
    )
    return Table(columns, tuple(_record(call) for call in alignment.calls))


def _record(call: AlignedCall) -> tuple[Value, ...]:
    sides = (call.before, call.after)
    counts = [(len(side.span_ids), side.error_count) if side else (0, 0) for side in sides]
    times = [
        (side.start_ns, side.duration_ns, side.self_ns, side.held_ns) if side else (None, None, None, None)
        for side in sides
    ]
    ids = [side.span_ids if side else () for side in sides]
    return (call.depth, call.service, call.name, *counts[0], *counts[1], *times[0], *times[1], *ids)
