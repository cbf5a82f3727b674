"""The self time of spans: how long each was busy itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from traceq.analysis.columns import Columns, Ints, columns, self_times
from traceq.analysis.rejoining import with_rejoined
from traceq.analysis.skew import corrected
from traceq.answer import Answer
from traceq.report import Column, Rows, Unit
from traceq.traces import Span, Traces

SELF_TIME_COLUMNS: tuple[Column[tuple[Span, int]], ...] = (
    Column("trace_id", "trace", Unit.TRACE_ID, lambda timed: timed[0].trace_id),
    Column("span_id", "span", value=lambda timed: timed[0].span_id),
    Column("service", "service", Unit.SERVICE, lambda timed: timed[0].service, can_shrink=True),
    Column("operation", "operation", value=lambda timed: timed[0].name, can_shrink=True),
    Column("duration_ns", "duration", Unit.DURATION, lambda timed: timed[0].duration_ns),
    Column("self_ns", "self", Unit.DURATION, lambda timed: timed[1], "what no direct child covers"),
)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SelfTime(Answer):
    """How long each span was busy itself: its duration minus the time that its direct children cover."""

    spans: Columns
    self_ns: Ints
    """The self time of each span in ns."""

    @property
    def spans_with_times(self) -> list[tuple[Span, int]]:
        """Each span with its self time."""
        spans = (self.spans.traces.span(row) for row in range(self.self_ns.size))
        return list(zip(spans, self.self_ns.tolist(), strict=True))

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        Rows(
            "spans", SELF_TIME_COLUMNS, lambda answer: answer.spans_with_times, "spans in the order of the span table"
        ),
    )
    MAIN: ClassVar[str] = "spans"


def self_time(traces: Traces, *, correct_skew: bool = True) -> SelfTime:
    """Measure how long each span was busy itself.

    Args:
        traces: Any table.
        correct_skew: Whether to correct clocks first; see `skew.find_skew`.

    Returns:
        Self times in ns, one per span, never negative; see `columns.self_times` for the definition.
    """
    spans, _ = corrected(columns(traces), correct_skew=correct_skew)
    spans = with_rejoined(spans)
    return SelfTime(spans, self_times(spans))
