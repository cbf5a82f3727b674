"""Two traces side by side: their trees matched by call path, with what is longer, missing or extra."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.culprits import Examined, examine
from traceq.analysis.grouping import depths
from traceq.analysis.requests import RequestOptions
from traceq.answer import Answer
from traceq.report import Column, Holds, Rows, Unit, Value, json_key
from traceq.traces import Traces
from traceq.units import format_duration


class PathCalls(Struct, frozen=True):
    """The spans of one trace on one call path: alike siblings, and children of alike parents, count together."""

    span_ids: tuple[str, ...]
    """The ids of the spans, in the order in which they started."""
    start_ns: int
    """The start of the first span, since the start of the trace."""
    duration_ns: int
    """The sum of the durations of the spans."""
    self_ns: int
    held_ns: int
    """Critical time of the spans: network time is charged to the callee."""
    error_count: int


class AlignedCall(Struct, frozen=True):
    """A call path that at least one of two traces has."""

    depth: int
    """The number of calls above it; 0 for roots."""
    service: str
    name: str
    before: PathCalls | None
    """The call in the first trace; None where it does not occur: the call is extra."""
    after: PathCalls | None
    """The call in the second trace; None where it does not occur: the call is missing."""

    @property
    def duration_change_ns(self) -> int:
        """The growth of the sum of its spans' durations."""
        return (self.after.duration_ns if self.after else 0) - (self.before.duration_ns if self.before else 0)

    @property
    def held_change_ns(self) -> int:
        """The growth of its critical time."""
        return (self.after.held_ns if self.after else 0) - (self.before.held_ns if self.before else 0)

    @property
    def call_change(self) -> int:
        """The growth of the number of its spans."""
        return (len(self.after.span_ids) if self.after else 0) - (len(self.before.span_ids) if self.before else 0)

    @property
    def self_change_ns(self) -> int:
        """The growth of its spans' self time."""
        return (self.after.self_ns if self.after else 0) - (self.before.self_ns if self.before else 0)


def _side_specs(
    key: str, title: str, taken: Callable[[AlignedCall], PathCalls | None]
) -> tuple[Column[AlignedCall], ...]:
    def fact(
        name: str, unit: Unit, value: Callable[[PathCalls], Value], about: str = "", holds: Holds | None = None
    ) -> Column[AlignedCall]:
        def known(call: AlignedCall) -> Value:
            side = taken(call)
            return None if side is None else value(side)

        return Column(name, title, unit, known, about, within=key, holds=holds)

    return (
        fact("span_ids", Unit.TEXT, lambda calls: calls.span_ids, "in the order in which they started", "texts"),
        fact("call_count", Unit.COUNT, lambda calls: len(calls.span_ids)),
        fact(
            "start_ns", Unit.DURATION, lambda calls: calls.start_ns, "start of the first, since the start of the trace"
        ),
        fact("duration_ns", Unit.DURATION, lambda calls: calls.duration_ns, "time of all calls on the path together"),
        fact("self_ns", Unit.DURATION, lambda calls: calls.self_ns),
        fact("critical_ns", Unit.DURATION, lambda calls: calls.held_ns, "critical time, charged as in `bottlenecks`"),
        fact("error_count", Unit.ERRORS, lambda calls: calls.error_count),
    )


CALL_COLUMNS: tuple[Column[AlignedCall], ...] = (
    Column("depth", "depth", Unit.COUNT, about="levels below the root; 0 for roots"),
    Column("service", "service", Unit.SERVICE, can_shrink=True, priority=2),
    Column("operation", "operation", value=lambda call: call.name),
    *_side_specs("before", "before", lambda call: call.before),
    *_side_specs("after", "after", lambda call: call.after),
    Column("duration_change_ns", "change", Unit.DURATION),
    Column("critical_change_ns", "on path", Unit.DURATION, lambda call: call.held_change_ns),
)


class Swap(Struct, frozen=True):
    """Two calls of one caller, one after the other in both traces, in another order."""

    caller: AlignedCall
    first: AlignedCall
    """The call that comes first in the second trace."""
    second: AlignedCall


SWAP_COLUMNS: tuple[Column[Swap], ...] = (
    Column("service", "service", Unit.SERVICE, lambda swap: swap.caller.service, "service that makes the calls"),
    Column("operation", "in", value=lambda swap: swap.caller.name, about="operation of the caller"),
    Column("first_operation", "first", value=lambda swap: swap.first.name, about="the call that now comes first"),
    Column("second_operation", "second", value=lambda swap: swap.second.name, about="the call that came first before"),
)


class Alignment(Answer, Struct, frozen=True):
    """Two traces side by side."""

    before_id: str
    after_id: str
    before_ns: int
    """The duration of the first trace: that of its longest root."""
    after_ns: int
    calls: tuple[AlignedCall, ...]
    """The calls, depth first, callers before their callees; siblings by their first start in either trace."""

    @property
    def greatest(self) -> AlignedCall | None:
        """The call path whose critical time changed most; None where none did."""
        changed = [call for call in self.calls if call.held_change_ns]
        return max(changed, key=lambda call: abs(call.held_change_ns), default=None)

    @property
    def headline(self) -> str:
        """One sentence: how much longer the second trace takes, and why."""
        change_ns = self.after_ns - self.before_ns
        told = f"{format_duration(self.before_ns)} → {format_duration(self.after_ns)}"
        swaps = "".join(f"; {_order(swap)}" for swap in self.order_changes[:1])
        if self.greatest is None:
            if swaps:
                return f"The order of calls changed, and nothing else ({told}){swaps}"
            return f"Nothing changed: {told}, and no call holds the critical path longer or less"
        by = format_duration(abs(change_ns))
        how = f"{by} longer" if change_ns > 0 else f"{by} less" if change_ns < 0 else "as long"
        return f"The second trace takes {how} ({told}): {_cause(self.greatest)}{swaps}"

    @property
    def order_changes(self) -> tuple[Swap, ...]:
        """Neighbouring calls of one caller that follow each other the other way round.

        Only single calls that do not overlap in either trace: the order of calls side by side is chance.
        """
        above: list[AlignedCall] = []
        below: dict[int, list[AlignedCall]] = {}
        for call in self.calls:
            del above[call.depth :]
            above.append(call)
            if call.depth and all(side is not None and len(side.span_ids) == 1 for side in (call.before, call.after)):
                below.setdefault(id(above[-2]), []).append(call)
        callers = {id(call): call for call in self.calls}
        return tuple(
            Swap(callers[caller], second, first)
            for caller, calls in below.items()
            for first, second in pairwise(sorted(calls, key=lambda call: call.before.start_ns if call.before else 0))
            if _follows(first.before, second.before) and _follows(second.after, first.after)
        )

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        json_key("text", lambda answer: answer.headline, "the answer in one sentence", within="verdict"),
        json_key("trace_id", lambda answer: answer.before_id, unit=Unit.TRACE_ID, within="before"),
        json_key("duration_ns", lambda answer: answer.before_ns, unit=Unit.DURATION, within="before"),
        json_key("trace_id", lambda answer: answer.after_id, unit=Unit.TRACE_ID, within="after"),
        json_key("duration_ns", lambda answer: answer.after_ns, unit=Unit.DURATION, within="after"),
        json_key("duration_change_ns", lambda answer: answer.after_ns - answer.before_ns),
        Rows("calls", CALL_COLUMNS, about="a caller before what it calls"),
        Rows("order_changes", SWAP_COLUMNS, about="calls that follow each other the other way round"),
    )
    MAIN: ClassVar[str] = "calls"


def _follows(first: PathCalls | None, second: PathCalls | None) -> bool:
    """Tell whether one call begins when the other has ended."""
    if first is None or second is None:
        return False
    return first.start_ns + first.duration_ns <= second.start_ns and first.start_ns < second.start_ns


def _order(swap: Swap) -> str:
    return f"{swap.first.name} now comes before {swap.second.name} in {swap.caller.name} of {swap.caller.service}"


def _cause(call: AlignedCall) -> str:
    amount = format_duration(abs(call.held_change_ns))
    where = f"{call.name} of {call.service}"
    if call.before is None:
        return f"{where} is extra and holds it {amount}"
    if call.after is None:
        return f"{where} is missing, which held the first {amount}"
    repeated = f", {len(call.before.span_ids)} → {len(call.after.span_ids)} calls" if call.call_change else ""
    return f"{where} holds it {amount} {'longer' if call.held_change_ns > 0 else 'less'}{repeated}"


def align(before: Traces, after: Traces, options: RequestOptions) -> Alignment:
    """Put two traces side by side.

    Spans are matched when services and operations from the root down to them are the same.

    Args:
        before: A table of one trace.
        after: Another one.
        options: Whether to correct clocks first.

    Raises:
        ValueError: If a table does not hold exactly one trace, or its trace has no spans.
    """
    for traces in (before, after):
        if len(traces) != 1 or not traces.span_count:
            raise ValueError("traces are put side by side one by one, each with its spans")
    paths: dict[tuple[int, str, str], int] = {}
    everything = replace(options, with_fragments=True, include_streams=True)
    sides = [_calls(examine(traces, everything), paths) for traces in (before, after)]
    return Alignment(
        before_id=before.trace_ids[0],
        after_id=after.trace_ids[0],
        before_ns=_longest(before),
        after_ns=_longest(after),
        calls=tuple(_ordered(paths, sides[0], sides[1])),
    )


def _longest(traces: Traces) -> int:
    return max(traces.duration_ns[row] for row in range(traces.span_count) if traces.parents[row] < 0)


def _calls(examined: Examined, paths: dict[tuple[int, str, str], int]) -> dict[int, PathCalls]:
    """Give the calls on each path, and number new paths, callers before their callees."""
    spans = examined.spans
    path_of: dict[int, int] = {-1: -1}
    rows_of: dict[int, list[int]] = {}
    for row in np.lexsort((spans.start_ns, depths(spans.parents))).tolist():
        span = spans.traces.span(row)
        key = (path_of[int(spans.parents[row])], span.service, span.name)
        path_of[row] = paths.setdefault(key, len(paths))
        rows_of.setdefault(path_of[row], []).append(row)
    start_ns = int(spans.start_ns.min())
    return {path: _summed(examined, rows, start_ns) for path, rows in rows_of.items()}


def _summed(examined: Examined, rows: list[int], start_ns: int) -> PathCalls:
    spans = examined.spans
    return PathCalls(
        span_ids=tuple(spans.traces.span_ids[row] for row in rows),
        start_ns=int(spans.start_ns[rows].min()) - start_ns,
        duration_ns=int(spans.duration_ns[rows].sum()),
        self_ns=int(examined.self_ns[rows].sum()),
        held_ns=int(examined.charged_ns[rows].sum()),
        error_count=sum(spans.traces.span(row).has_error for row in rows),
    )


def _ordered(
    paths: dict[tuple[int, str, str], int], before: dict[int, PathCalls], after: dict[int, PathCalls]
) -> Iterable[AlignedCall]:
    """Go through the paths depth first, siblings by their first start in either trace."""

    def place(path: int) -> tuple[int, str, str]:
        starts = (side[path].start_ns for side in (before, after) if path in side)
        return (min(starts), *names[path])

    names = {path: (service, name) for (_, service, name), path in paths.items()}
    below: dict[int, list[int]] = {}
    for (parent, *_), path in paths.items():
        below.setdefault(parent, []).append(path)
    waiting = [(0, path) for path in sorted(below[-1], key=place, reverse=True)]
    while waiting:
        depth, path = waiting.pop()
        yield AlignedCall(depth, *names[path], before.get(path), after.get(path))
        waiting += [(depth + 1, child) for child in sorted(below.get(path, ()), key=place, reverse=True)]
