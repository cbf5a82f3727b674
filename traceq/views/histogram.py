"""How durations spread, made ready to be drawn."""

from __future__ import annotations

from collections.abc import Sequence

from traceq.analysis.spread import Spread
from traceq.report import Histogram

_HISTOGRAM_CELLS = 60


def duration_histogram(spread: Spread, beside: Sequence[Spread]) -> Histogram:
    """Put durations into cells of equal ratio, between the ends of all that are drawn beside each other.

    The first cell holds those of no duration too: a scale down to a nanosecond would be empty for most of its width.
    """
    found = [bucket for other in beside for bucket in other.counts.buckets if bucket]
    low, high = min(found, default=1), max(found, default=1)
    # Never more cells than buckets: some would stay empty whatever the durations.
    counts = [0] * min(_HISTOGRAM_CELLS, high - low + 1)
    for bucket, count in spread.counts.items():
        counts[(max(bucket, low) - low) * len(counts) // (high - low + 1)] += count
    return Histogram(min(other.min_ns for other in beside), max(other.max_ns for other in beside), tuple(counts))
