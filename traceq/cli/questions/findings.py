"""What `findings` asks of tables of traces."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.analysis import findings
from traceq.analysis.culprits import RequestOptions
from traceq.analysis.findings import FindingSums, Thresholds
from traceq.traces import Traces


@dataclass(frozen=True, slots=True)
class FindingQuestion:
    """What is worth a change."""

    options: RequestOptions
    thresholds: Thresholds
    needs_details: bool = True
    """Statements, errors and what spans tell of retries are attributes and events."""

    def nothing(self) -> FindingSums:
        """Give the sums of no traces."""
        return FindingSums()

    def collect(self, traces: Traces) -> FindingSums:
        """Sum up a table."""
        return findings.collect(traces, self.options, self.thresholds)
