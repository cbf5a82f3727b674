"""What many traces tell about each: learned from a sample, chosen by trace ids alone, and known everywhere."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from traceq.analysis.clocks import ClockCalls, collect_clock_calls
from traceq.analysis.columns import Columns, Ints, columns
from traceq.analysis.grouping import added
from traceq.analysis.lineage import learn_lineage
from traceq.analysis.offsets import find_clock_errors
from traceq.analysis.outliving import Outliving, count_outliving
from traceq.learned import NOTHING_KNOWN, Learned, Lineage
from traceq.traces import Traces, normal_id


@dataclass(frozen=True, slots=True)
class LearnedSums:
    """What traces told; adds to others."""

    outliving: Outliving = field(default_factory=Outliving)
    lineage: Lineage = NOTHING_KNOWN
    clock_calls: ClockCalls = field(default_factory=ClockCalls)

    def __add__(self, other: LearnedSums) -> LearnedSums:
        return added(self, other)

    def learned(self) -> Learned:
        """Draw conclusions."""
        return Learned(self.outliving.asynchronous(), self.lineage, find_clock_errors(self.clock_calls))


@dataclass(frozen=True, slots=True)
class LearningQuestion:
    """What traces tell about others: asked of a sample, before the question that needs to know it."""

    trace_ids: Sample
    needs_details: bool = False

    def nothing(self) -> LearnedSums:
        """Give the sums of no traces."""
        return LearnedSums()

    def collect(self, traces: Traces) -> LearnedSums:
        """Learn from all traces of a table, which are of the sample."""
        return learn(traces, level=0)


def learn(traces: Traces, level: int | None = None) -> LearnedSums:
    """Learn from traces.

    Args:
        traces: A table.
        level: How few of them; None for what suits a table that is all there is.
    """
    return _learn(columns(traces), sample_level(len(traces)) if level is None else level)


def learn_from(tables: Sequence[Traces]) -> Learned:
    """Give what several tables tell about each of their traces."""
    level = sample_level(sum(map(len, tables)))
    return sum((learn(table, level) for table in tables), LearnedSums()).learned()


def learned_of(spans: Columns) -> Learned:
    """Give what is known about spans, where nobody said from the table they are in."""
    if spans.learned is not None:
        return spans.learned
    return _learn(spans, sample_level(len(spans.traces))).learned()


def with_learned(spans: Columns) -> Columns:
    """Give the same spans with what is known about them."""
    return spans if spans.learned is not None else replace(spans, learned=learned_of(spans))


def _learn(spans: Columns, level: int) -> LearnedSums:
    if level:
        chosen = [position for position, trace_id in enumerate(spans.traces.trace_ids) if is_sampled(trace_id, level)]
        spans = _of_traces(spans, np.array(chosen, dtype=np.int64))
    return LearnedSums(count_outliving(spans), learn_lineage(spans), collect_clock_calls(spans))


def _of_traces(spans: Columns, positions: Ints) -> Columns:
    """Give the spans of some traces alone, without a table of their own."""
    kept = np.zeros(len(spans.traces), dtype=np.bool_)
    kept[positions] = True
    rows = np.flatnonzero(kept[spans.trace])
    place = np.full(spans.parents.size + 1, -1, dtype=np.int64)
    place[rows] = np.arange(rows.size)
    return spans.taken(rows, place[spans.parents[rows]])


LEAST_SAMPLED = 500
"""Of twice as many traces or more only some are learned from, but hardly ever fewer than these."""


def sample_level(trace_count: int) -> int:
    """Say how few of so many traces are learned from: 0 for all of them, 1 for half, 2 for a quarter."""
    return max(0, (trace_count // LEAST_SAMPLED).bit_length() - 1)


def is_sampled(trace_id: str, level: int) -> bool:
    """Tell whether a trace is learned from; what is at one level is at all lower ones."""
    # Every bit of the id changes the higher bits of its checksum.
    return not level or zlib.crc32(normal_id(trace_id).encode("utf-8", "surrogatepass")) >> (32 - level) == 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The ids of the traces that are learned from."""

    level: int

    def __contains__(self, trace_id: object) -> bool:
        return isinstance(trace_id, str) and is_sampled(trace_id, self.level)
