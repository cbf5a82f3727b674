"""What `deps` asks of tables of traces."""

from __future__ import annotations

from dataclasses import dataclass, field

from traceq.analysis.call_sums import DependencyOptions, DependencySums, count_calls
from traceq.traces import Traces


@dataclass(frozen=True, slots=True)
class DependencyQuestion:
    """Who calls whom."""

    options: DependencyOptions = field(default_factory=DependencyOptions)
    needs_details: bool = True
    """Links tie messages of different traces together, and attributes tell protocols."""

    def nothing(self) -> DependencySums:
        """Give the sums of no traces."""
        return DependencySums()

    def collect(self, traces: Traces) -> DependencySums:
        """Sum up a table."""
        return count_calls(traces, self.options)
