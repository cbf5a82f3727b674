"""What `compare` shows of two single traces."""

from __future__ import annotations

from traceq.analysis.comparison.alignment import CALL_COLUMNS, AlignedCall, Alignment, PathCalls
from traceq.answer import report_of
from traceq.asked import Asked
from traceq.report import Block, Column, Line, Part, Report, Unit, picked, table
from traceq.units import plural
from traceq.views.wording import dim

_NO_ASKED = Asked()
_SHOWN_WHOLE = 40
"""So many rows are shown whatever they say; of more only those that tell a difference, and what leads to them."""
_LEAST_RATIO = 0.01


@report_of.register
def report(answer: Alignment, asked: Asked = _NO_ASKED) -> Report:
    """Show two traces side by side."""
    shown = _shown(answer)
    blocks: tuple[Block, ...] = (Line((Part(answer.headline, "strong"),)), Line(), table(_COLUMNS, shown))
    footer = [dim(f"before {answer.before_id}, after {answer.after_id}")]
    if len(shown) < len(answer.calls):
        hidden = plural(len(answer.calls) - len(shown), "call path")
        footer.append(dim(f"{hidden} without a notable difference left out, --format json has all"))
    return Report("compare", answer.to_dict(), answer.records(), blocks, tuple(footer), asked.trace_url)


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


def _times(calls: PathCalls) -> str:
    return f", {plural(len(calls.span_ids), 'call')}" if len(calls.span_ids) > 1 else ""


_SERVICE, _BEFORE, _AFTER, _CHANGE, _ON_PATH = picked(
    CALL_COLUMNS, "service", "before.duration_ns", "after.duration_ns", "duration_change_ns", "critical_change_ns"
)
_COLUMNS: tuple[Column[AlignedCall], ...] = (
    Column("operation", "operation", value=lambda call: "  " * call.depth + call.name, can_shrink=True),
    _SERVICE,
    _BEFORE,
    _AFTER,
    _CHANGE,
    _ON_PATH,
    Column("self_change_ns", "self", Unit.DURATION, lambda call: call.self_change_ns, priority=3),
    Column("note", "", value=_note, priority=1),
)
