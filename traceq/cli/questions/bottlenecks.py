"""What `bottlenecks` asks of tables of traces."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.analysis import bottlenecks
from traceq.analysis.bottlenecks import BottleneckSums
from traceq.analysis.culprits import RequestOptions
from traceq.analysis.statements import LookUp, with_statements
from traceq.traces import Traces


@dataclass(frozen=True, slots=True)
class BottleneckQuestion:
    """Where the time of requests goes."""

    options: RequestOptions
    needs_details: bool = False

    def nothing(self) -> BottleneckSums:
        """Give the sums of no traces."""
        return BottleneckSums()

    def collect(self, traces: Traces) -> BottleneckSums:
        """Sum up a table."""
        return bottlenecks.collect(traces, self.options)

    def complete(self, sums: BottleneckSums, look_up: LookUp) -> BottleneckSums:
        """Read the statements of what held up the slowest requests: the only attributes the answer shows."""
        return with_statements(sums, look_up)
