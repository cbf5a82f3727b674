"""Learning from many traces: from a sample chosen by trace ids alone, and applied to all of them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.clocks import ClockCalls, collect_clock_calls, find_clock_errors
from traceq.analysis.columns import Columns, Ints, columns
from traceq.analysis.grouping import added, numbered_rows
from traceq.analysis.habits import HabitSums, Orders, count_orders, learn_habits
from traceq.analysis.outliving import Outliving, count_outliving
from traceq.analysis.ticks import TickSums, count_ticks
from traceq.learned import NOTHING_KNOWN, Learned, Lesson, Lineage, Operation
from traceq.traces import Traces, normal_id


def learn_lineage(spans: Columns) -> Lineage:
    """Count how often operations occur directly below others, and how many spans miss their parents."""
    parents = spans.parents
    operations, numbers = number_operations(spans, np.arange(parents.size))
    children = np.flatnonzero(parents >= 0)
    above, below = numbers[parents[children]], numbers[children]
    places, groups = numbered_rows(above, below)
    counts = np.bincount(groups, minlength=places.size)
    lost = np.bincount(numbers[spans.orphaned], minlength=len(operations)).tolist()
    return Lineage(
        {
            (operations[parent], operations[child]): count
            for parent, child, count in zip(
                above[places].tolist(), below[places].tolist(), counts.tolist(), strict=True
            )
        },
        {operation: count for operation, count in zip(operations, lost, strict=True) if count},
    )


def number_operations(spans: Columns, rows: Ints) -> tuple[list[Operation], Ints]:
    """Number the operations of these rows: give the operations, and the number of each row."""
    traces = spans.traces
    codes = (spans.services[rows], spans.names[rows], spans.told_roles[rows])
    places, numbers = numbered_rows(*codes)
    parts = zip(*(column[places].tolist() for column in codes), strict=True)
    return [Operation(traces.services[service], traces.names[name], role) for service, name, role in parts], numbers


class LearnedSums(Struct, frozen=True):
    """What was learned from traces; can be added to others."""

    outliving: Outliving = field(default_factory=Outliving)
    lineage: Lineage = NOTHING_KNOWN
    clock_calls: ClockCalls = field(default_factory=ClockCalls)
    ticks: TickSums = field(default_factory=TickSums)
    orders: Orders = field(default_factory=Orders)
    habits: HabitSums = field(default_factory=HabitSums)

    def __add__(self, other: LearnedSums) -> LearnedSums:
        return added(self, other)

    def learned(self) -> Learned:
        """Draw conclusions."""
        calls, clocks = self.outliving, find_clock_errors(self.clock_calls)
        ticks = self.ticks.ticks(clocks_agree=not clocks)
        more = self.orders.unordered(), self.habits.habits()
        return Learned(calls.asynchronous(), calls.left_running(), self.lineage, clocks, ticks, *more)


def learn(traces: Traces, level: int | None = None, *, more: Lesson | None = None) -> LearnedSums:
    """Learn from traces.

    Args:
        traces: A table.
        level: The level of the sample; None to choose it for a table that holds all traces.
        more: What to learn besides what every question needs.
    """
    return _learn(columns(traces), sample_level(len(traces)) if level is None else level, more=more)


def learn_from(tables: Sequence[Traces], *, more: Lesson | None = None) -> Learned:
    """Learn from several tables together."""
    level = sample_level(sum(map(len, tables)))
    return sum((learn(table, level, more=more) for table in tables), LearnedSums()).learned()


def learned_of(spans: Columns, *, more: Lesson | None = None) -> Learned:
    """Give what was learned about spans; if nothing was given with them, learn from their own table."""
    if spans.learned is not None:
        return spans.learned
    return _learn(spans, sample_level(len(spans.traces)), more=more).learned()


def with_learned(spans: Columns, *, more: Lesson | None = None) -> Columns:
    """Give the same spans with what was learned about them."""
    return spans if spans.learned is not None else replace(spans, learned=learned_of(spans, more=more))


def _learn(spans: Columns, level: int, *, more: Lesson | None) -> LearnedSums:
    if level:
        chosen = [position for position, trace_id in enumerate(spans.traces.trace_ids) if is_sampled(trace_id, level)]
        spans = _of_traces(spans, np.array(chosen, dtype=np.int64))
    orders = count_orders(spans) if more == "orders" else Orders()
    habits = learn_habits(spans) if more == "habits" else HabitSums()
    clock_calls = collect_clock_calls(spans)
    return LearnedSums(count_outliving(spans), learn_lineage(spans), clock_calls, count_ticks(spans), orders, habits)


def _of_traces(spans: Columns, positions: Ints) -> Columns:
    """Give only the spans of some traces, without making a new table."""
    kept = np.zeros(len(spans.traces), dtype=np.bool_)
    kept[positions] = True
    rows = np.flatnonzero(kept[spans.trace])
    place = np.full(spans.parents.size + 1, -1, dtype=np.int64)
    place[rows] = np.arange(rows.size)
    return spans.taken(rows, place[spans.parents[rows]])


LEAST_SAMPLED = 200
"""The minimum size of a sample, approximately; with fewer than twice as many traces, all of them are used."""


def sample_level(trace_count: int) -> int:
    """Choose the level of the sample for a number of traces: 0 for all of them, 1 for half, 2 for a quarter."""
    return max(0, (trace_count // LEAST_SAMPLED).bit_length() - 1)


def is_sampled(trace_id: str, level: int) -> bool:
    """Tell whether a trace is in the sample of a level; samples of higher levels are parts of those of lower ones."""
    # Every bit of the id changes the higher bits of its checksum.
    return not level or zlib.crc32(normal_id(trace_id).encode("utf-8", "surrogatepass")) >> (32 - level) == 0


class Sample(Struct, frozen=True):
    """The ids of the traces in a sample."""

    level: int

    def __contains__(self, trace_id: object) -> bool:
        return isinstance(trace_id, str) and is_sampled(trace_id, self.level)
