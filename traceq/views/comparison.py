"""What `compare` shows: of two sets of traces the verdict first, then what it rests on; two traces side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, assert_never

from msgspec import Struct, field, structs
from msgspec.structs import replace

from traceq.analysis.comparison.alignment import CALL_COLUMNS, AlignedCall, Alignment, PathCalls
from traceq.analysis.comparison.changes import (
    SERVICE_COLUMNS,
    EdgeChange,
    OperationChange,
    ServiceChange,
    SideSummary,
)
from traceq.analysis.comparison.compare import Comparison
from traceq.analysis.comparison.measuring import Estimate
from traceq.analysis.comparison.structure import CALL_CHANGE_COLUMNS, ORDER_CHANGE_COLUMNS, CallChange, OrderChange
from traceq.analysis.comparison.tags import TAG_COLUMNS, TagChange, TagChanges
from traceq.analysis.spread import Spread
from traceq.answer import counted, report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Column, Line, Part, Report, Table, Unit, Value, picked, table
from traceq.units import NS_PER_MS, format_duration, format_ratio, format_signed, plural
from traceq.views.wording import answer_line, dim, next_line, reported, set_apart_lines, strong

_LEAST_RATIO = 0.005
"""Changes below this share of the latency are left to the machine formats."""
_HALF = 0.5
_UNMATCHED_SHOWN = 3
_WHOLE = 10

_Row = TypeVar("_Row")


_MOST_LINES = 8


class NamedSide(Struct, frozen=True):
    """What one of the two sets is called, and where it is from."""

    title: str = ""
    asked: Asked = NOT_ASKED


class Shown(Struct, frozen=True):
    """What the two sets are called, and how much of their difference is shown."""

    before: NamedSide = field(default_factory=NamedSide)
    after: NamedSide = field(default_factory=NamedSide)
    top: int | None = None
    """Lines of each table, and items of each list of the document; None for the first few lines, and all items."""

    @property
    def lines(self) -> int:
        """The lines of each table."""
        return _MOST_LINES if self.top is None else self.top


_ALL = Shown()


@report_of.register
def report(answer: Comparison, asked: Asked = NOT_ASKED, shown: Shown = _ALL) -> Report:
    """Show what changed."""
    verdict, tags = answer.verdict, answer.tags
    blocks: list[Block] = [answer_line((Part(verdict.headline, "strong"),), asked)]
    blocks += [Line((Part(f"  {remark}"),)) for remark in verdict.remarks]
    blocks += [Line(), *_requests(answer, shown)]
    if verdict.outcome != "incomparable":
        blocks += _changes(answer, shown.lines)
    if tags is not None:
        blocks += _section("Tags that stand out after", table(_TAGS, tags.changes[: shown.lines]))
    apart = [*set_apart_lines(answer.before.set_apart, "before"), *set_apart_lines(answer.after.set_apart, "after")]
    footer = (*(dim(text) for text in _looked_at(answer, tags)), *apart, *_next(answer, shown))
    told = reported("compare", _first(answer, shown.top), asked, blocks, footer)
    return (
        told
        if shown.top is None
        else structs.replace(told, document=counted(told.document, answer.MAIN, len(answer.operations)))
    )


_REQUESTS: tuple[Column[Any], ...] = (
    Column("side", ""),
    Column("request_count", "requests", Unit.COUNT),
    Column("failed_count", "failed", Unit.ERRORS),
    Column("mean_ns", "mean", Unit.DURATION),
    Column("p50_ns", "p50", Unit.DURATION),
    Column("p95_ns", "p95", Unit.DURATION),
    Column("p99_ns", "p99", Unit.DURATION, priority=1),
    Column("max_ns", "max", Unit.DURATION, priority=2),
)


def _requests(answer: Comparison, shown: Shown) -> list[Block]:
    """Count the requests of both sides, and say below what these are, which has no room in a column."""
    known = answer.known(answer.latency)
    rows = (
        _request_row("before", answer.before, known.before),
        _request_row("after", answer.after, known.after),
    )
    named = (("before", shown.before.title), ("after", shown.after.title))
    told = "   ".join(f"{side}: {title}" for side, title in named if title)
    return [Table(_REQUESTS, rows), *((dim(f" {told}"),) if told else ())]


def _request_row(title: str, side: SideSummary, mean_ns: float) -> tuple[Value, ...]:
    if not side.latency.count:
        return (title, side.request_count, 0, None, None, None, None, None)
    percentiles = (side.latency.percentile(quantile) for quantile in (0.5, 0.95, 0.99))
    # Of requests that are compared with nothing, all count.
    mean = round(mean_ns) if math.isfinite(mean_ns) else side.latency.average_ns
    return (title, side.request_count, side.failed_count, mean, *percentiles, side.latency.max_ns)


def _changes(answer: Comparison, top: int) -> list[Block]:
    latency_ns = (answer.latency.before + answer.latency.after) / 2

    def matters(change: Estimate) -> bool:
        return abs(change.change) >= max(_LEAST_RATIO * latency_ns, 1)

    services = [change for change in answer.services if matters(change.caused)]
    operations = [change for change in answer.operations if matters(change.held)]
    edges = [change for change in answer.edges if matters(change.between) and change.between.is_sure]
    failing = [change for change in answer.operations if change.errors.is_sure]
    blocks: list[Block] = []
    blocks += _section("Services, by what they change of the latency", _service_table(_ends(services, top)))
    blocks += _section("Operations", table(_OPERATIONS, _ends(operations, top)))
    blocks += _section("Between services", table(_EDGES, _ends(edges, top)))
    blocks += _section("Calls, each time their caller is called", table(_CALLS, answer.call_changes[:top]))
    blocks += _section("Order of calls", table(_ORDERS, answer.order_changes[:top]))
    blocks += _section("Errors a request", table(_ERRORS, failing[:top]))
    return blocks


def _section(title: str, table: Table) -> list[Block]:
    return [Line(), strong(title), table] if table.rows else []


def _first(answer: Comparison, top: int | None) -> Comparison:
    """Keep of each list what its table shows."""
    if top is None:
        return answer
    return replace(
        answer,
        services=tuple(_ends(answer.services, top)),
        operations=tuple(_ends(answer.operations, top)),
        edges=tuple(_ends(answer.edges, top)),
        call_changes=answer.call_changes[:top],
        order_changes=answer.order_changes[:top],
    )


_Change = TypeVar("_Change", ServiceChange, OperationChange, EdgeChange)


def _ends(changes: Sequence[_Change], top: int) -> list[_Change]:
    """Keep what changed most, either way; what holds requests longer stays first."""
    if len(changes) <= top:
        return list(changes)
    bound = sorted((abs(_held(change).change) for change in changes), reverse=True)[top - 1]
    return [change for change in changes if abs(_held(change).change) >= bound][:top]


def _held(change: ServiceChange | OperationChange | EdgeChange) -> Estimate:
    if isinstance(change, ServiceChange):
        return change.caused
    return change.between if isinstance(change, EdgeChange) else change.held


def _times(taken: Callable[[_Row], Estimate]) -> tuple[Column[_Row], ...]:
    """Give the columns of a time that changed, and how sure that is."""
    return (
        Column("change_ns", "change", Unit.CHANGE, lambda row: round(taken(row).change)),
        Column("interval", "95 % interval", value=lambda row: _interval(taken(row)), priority=1),
        Column("sure", "sure", value=lambda row: certainty(taken(row))),
        Column("before_ns", "before", Unit.DURATION, lambda row: round(taken(row).before), priority=1),
        Column("after_ns", "after", Unit.DURATION, lambda row: round(taken(row).after)),
    )


def certainty(change: Estimate) -> str:
    """Say in a word how sure a change is."""
    return "yes" if change.is_sure else "likely" if change.is_likely else "no"


def _interval(change: Estimate) -> str:
    if not math.isfinite(change.low):
        return "-"
    return f"{format_signed(round(change.low))} .. {format_signed(round(change.high))}"


def _service_table(changes: Sequence[ServiceChange]) -> Table:
    most = max((abs(change.caused.change) for change in changes), default=0) or 1
    bar = Column[ServiceChange]("bar", "", Unit.BAR, lambda change: abs(change.caused.change) / most, priority=4)
    service, between = picked(SERVICE_COLUMNS, "service", "between_change_ns")
    calls = Column[ServiceChange]("calls", "calls", value=lambda change: _calls(change.calls), priority=2)
    caused: tuple[Column[ServiceChange], ...] = _times(lambda change: change.caused)
    held: tuple[Column[ServiceChange], ...] = _times(lambda change: change.held)
    sides = (structs.replace(held[-2], title="held before"), held[-1])
    return table(
        (service, bar, *caused[:3], *sides, structs.replace(between, unit=Unit.CHANGE, priority=3), calls), changes
    )


_NAME = Column[OperationChange]("operation", "operation", value=lambda change: change.key.name, can_shrink=True)
_SERVICE = Column[OperationChange](
    "service", "service", Unit.SERVICE, lambda change: change.key.service, can_shrink=True
)
_OPERATIONS: tuple[Column[Any], ...] = (
    _NAME,
    structs.replace(_SERVICE, value=lambda change: change.key.place),
    *_times(lambda change: change.held),
    Column("p95", "p95", value=lambda change: _arrow(_p95(change.before), _p95(change.after)), priority=2),
    Column("calls", "calls", value=lambda change: _calls(change.calls), priority=3),
)
_EDGES: tuple[Column[Any], ...] = (
    Column("edge", "caller → callee", value=lambda change: f"{change.caller} → {change.callee}", can_shrink=True),
    *_times(lambda change: change.between),
    Column(
        "charged",
        "charged to",
        value=lambda change: change.caller if change.caller_share >= _HALF else change.callee,
        priority=2,
    ),
    Column("calls", "calls", value=lambda change: _calls(change.calls), priority=3),
)
_CALLER, _IN, _CALLEE, _CALLED, _CAUSED = picked(
    CALL_CHANGE_COLUMNS, "caller", "caller_operation", "callee", "callee_operation", "caused_ns"
)


def _what(change: CallChange) -> str:
    if change.source:
        return f"since {change.source} fails"
    match change.kind:
        case "begun":
            return "new"
        case "stopped":
            return "gone"
        case "more" | "fewer":
            return f"x {_count(change.calls.after / change.calls.before)}"
        case _:
            assert_never(change.kind)


_CALLS: tuple[Column[CallChange], ...] = (
    _CALLER,
    structs.replace(_IN, priority=2),
    _CALLEE,
    _CALLED,
    Column("calls", "calls", value=lambda change: _arrow(_count(change.calls.before), _count(change.calls.after))),
    structs.replace(_CAUSED, unit=Unit.CHANGE, priority=1),
    Column("what", "", value=_what, priority=1),
)
_ORDERS: tuple[Column[OrderChange], ...] = (
    *picked(ORDER_CHANGE_COLUMNS, "caller", "first", "first_operation", "second", "second_operation"),
    Column(
        "ratio",
        "in this order",
        value=lambda change: _arrow(format_ratio(change.share.before), format_ratio(change.share.after)),
    ),
)
_ERRORS: tuple[Column[Any], ...] = (
    _NAME,
    _SERVICE,
    Column("errors", "errors", value=lambda change: _calls(change.errors)),
    Column("calls", "of calls", value=lambda change: _calls(change.calls), priority=1),
)


def _p95(durations: Spread) -> str:
    return format_duration(durations.percentile(0.95)) if durations.count else "-"


def _calls(calls: Estimate) -> str:
    return _arrow(_count(calls.before), _count(calls.after))


def _count(value: float) -> str:
    """Write a mean count: two significant digits, whole from ten on."""
    return f"{value:.0f}" if value >= _WHOLE or value == 0 else f"{value:.2g}"


def _arrow(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


_BEFORE_RATIO, _AFTER_RATIO, _AFTER_COUNT = picked(TAG_COLUMNS, "before_ratio", "after_ratio", "after_trace_count")
_TAGS: tuple[Column[TagChange], ...] = (
    Column("tag", "tag", value=lambda change: f"{change.key}={change.value}", can_shrink=True),
    _BEFORE_RATIO,
    structs.replace(_AFTER_RATIO, title="after"),
    Column("lift", "times", value=lambda change: "new" if change.lift is None else f"x {_count(change.lift)}"),
    _AFTER_COUNT,
    Column(
        "alike",
        "the same traces",
        value=lambda change: ", ".join(f"{key}={value}" for key, value in change.alike) or None,
        can_shrink=True,
        priority=2,
    ),
)


def _looked_at(answer: Comparison, tags: TagChanges | None) -> list[str]:
    told = [_sizes(answer)]
    for title, side in (("before", answer.before), ("after", answer.after)):
        if side.unmatched:
            told.append(f"only {title}, so compared with nothing: {_unmatched(side.unmatched)}")
    if tags is None:
        return told
    sampled, traces = tags.before_sampled + tags.after_sampled, tags.before_traces + tags.after_traces
    if sampled < traces:
        told.append(f"tags counted in {plural(sampled, 'trace')} of {plural(traces, 'trace')}, chosen by their ids")
    if tags.left_out:
        told.append(f"tags left out, as they have thousands of values: {', '.join(tags.left_out)}")
    return told


def _next(answer: Comparison, shown: Shown) -> list[Line]:
    """Name the trace to look at, where the headline names a service."""
    named = [line for line in answer.services if line.service == answer.verdict.service and line.example_id]
    return [
        next_line((shown.after if line.is_example_after else shown.before).asked, "show", line.example_id)
        for line in named
    ]


def _unmatched(counts: dict[str, int]) -> str:
    most = sorted(counts, key=lambda name: (-counts[name], name))
    shown = [f"{counts[name]} of {name}" for name in most[:_UNMATCHED_SHOWN]]
    if len(most) > _UNMATCHED_SHOWN:
        rest = sum(counts[name] for name in most[_UNMATCHED_SHOWN:])
        shown.append(f"{rest} of {plural(len(most) - _UNMATCHED_SHOWN, 'other operation')}")
    return ", ".join(shown)


def _sizes(answer: Comparison) -> str:
    sides = (answer.before, answer.after)
    told = " and ".join(f"{plural(side.span_count, 'span')} of {plural(side.trace_count, 'trace')}" for side in sides)
    shift_ns = max(side.largest_shift_ns for side in sides)
    if shift_ns < NS_PER_MS:
        return told
    moved = plural(sum(side.moved_span_count for side in sides), "span")
    return f"{told}; clocks corrected: {moved} moved by up to {format_duration(shift_ns)}"


_SHOWN_WHOLE = 40
"""Up to this number of rows, all are shown; of more, those with a difference and what leads to them."""
_LEAST_DIFFERENCE = 0.01


@report_of.register
def traces_report(answer: Alignment, asked: Asked = NOT_ASKED) -> Report:
    """Show two traces side by side."""
    shown = _differing(answer)
    blocks: tuple[Block, ...] = (
        answer_line((Part(answer.headline, "strong"),), asked),
        Line(),
        table(_ALIGNED_COLUMNS, shown),
    )
    footer = [dim(f"before {answer.before_id}, after {answer.after_id}")]
    if len(shown) < len(answer.calls):
        hidden = plural(len(answer.calls) - len(shown), "call path")
        footer.append(dim(f"{hidden} without a notable difference left out, --format json has all"))
    footer.append(next_line(asked, "show", answer.after_id))
    return reported("compare", answer, asked, blocks, footer)


def _differing(alignment: Alignment) -> list[AlignedCall]:
    """Keep the paths that differ, and those above them."""
    if len(alignment.calls) <= _SHOWN_WHOLE:
        return list(alignment.calls)
    least_ns = _LEAST_DIFFERENCE * max(alignment.before_ns, alignment.after_ns, 1)
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
        return f"extra{_call_count(after)}"
    if after is None and before is not None:
        return f"missing{_call_count(before)}"
    notes = []
    if before is not None and after is not None:
        if call.call_change:
            notes.append(f"{len(before.span_ids)} → {len(after.span_ids)} calls")
        elif len(after.span_ids) > 1:
            notes.append(f"{len(after.span_ids)} calls")
        if before.error_count != after.error_count:
            notes.append(f"{before.error_count} → {plural(after.error_count, 'error')}")
    return ", ".join(notes)


def _call_count(calls: PathCalls) -> str:
    return f", {plural(len(calls.span_ids), 'call')}" if len(calls.span_ids) > 1 else ""


_CALL_SERVICE, _CALL_BEFORE, _CALL_AFTER, _CALL_CHANGE, _ON_PATH = picked(
    CALL_COLUMNS, "service", "before.duration_ns", "after.duration_ns", "duration_change_ns", "critical_change_ns"
)
_ALIGNED_COLUMNS: tuple[Column[AlignedCall], ...] = (
    Column("operation", "operation", value=lambda call: "  " * call.depth + call.name, can_shrink=True),
    _CALL_SERVICE,
    _CALL_BEFORE,
    _CALL_AFTER,
    structs.replace(_CALL_CHANGE, unit=Unit.CHANGE),
    structs.replace(_ON_PATH, unit=Unit.CHANGE),
    Column("self_change_ns", "self", Unit.CHANGE, lambda call: call.self_change_ns, priority=3),
    Column("note", "", value=_note, priority=1),
)
