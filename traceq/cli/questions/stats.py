"""What `stats` asks of tables of traces."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.analysis import statistics
from traceq.analysis.statistics import TAG, StatisticsOptions, StatisticsSums
from traceq.traces import Traces


@dataclass(frozen=True, slots=True)
class StatisticsQuestion:
    """How many spans there are of each sort."""

    options: StatisticsOptions

    @property
    def needs_details(self) -> bool:
        """Whether spans are counted by a tag."""
        return any(level.startswith(TAG) for level in self.options.by)

    def nothing(self) -> StatisticsSums:
        """Give the sums of no traces."""
        return StatisticsSums()

    def collect(self, traces: Traces) -> StatisticsSums:
        """Sum up a table."""
        return statistics.collect(traces, self.options)
