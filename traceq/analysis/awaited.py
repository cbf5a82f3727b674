"""Which spans their callers waited for, and until when."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.learning import learned_of
from traceq.analysis.outliving import are_any_of, find_superseded, is_told_free, outlives


@dataclass(frozen=True, slots=True, eq=False)
class Awaited:
    """Whether and until when callers waited for their calls; arrays have one entry for each span."""

    flags: Flags
    """Whether somebody waited for the span; true for roots."""
    end_ns: Ints
    """The span's end, or, for a superseded attempt, the start of the attempt that took its place."""
    left_running: Flags
    """Whether many traces show that callers of such calls go on while they run."""


def find_awaited(spans: Columns) -> Awaited:
    """Tell which calls were waited for.

    Nobody waits for a CONSUMER that got a message from its PRODUCER, nor for a span that only follows from its parent,
    nor for a span that clearly ends after its parent on the same clock, nor for a call that does so repeatedly in other
    traces. A SERVER that ends after its CLIENT is awaited, and ends on different clocks prove nothing.

    Source: Chow et al., The Mystery Machine, OSDI '14, section 3: every order of two ends is assumed until a trace
    shows the other one. Differs: at least two calls have to show it, and more than one in a hundred.
    """
    has_outlived = outlives(spans)
    end_ns, is_superseded = find_superseded(spans, has_outlived)
    learned = learned_of(spans)
    is_asynchronous = are_any_of(spans, learned.asynchronous) | (has_outlived & ~is_superseded)
    return Awaited(~(is_told_free(spans) | is_asynchronous), end_ns, are_any_of(spans, learned.left_running))
