"""What `deps --impact` asks of tables of traces."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.analysis.dependencies import Dependencies
from traceq.analysis.impact import ImpactSums, count_impact
from traceq.analysis.peers import PeerGrouping
from traceq.traces import Traces


@dataclass(frozen=True, slots=True)
class ImpactQuestion:
    """In how many traces something is needed, and by whom."""

    target: str
    """The name of a node."""
    known: Dependencies
    """The graph that it is from: it knows which peers are services."""
    grouping: PeerGrouping

    @property
    def needs_details(self) -> bool:
        """Whether peers are told apart by their hosts, which are attributes."""
        return self.grouping in {"host", "none"}

    def nothing(self) -> ImpactSums:
        """Give the sums of no traces."""
        return ImpactSums()

    def collect(self, traces: Traces) -> ImpactSums:
        """Sum up a table."""
        return count_impact(traces, self.target, self.known, self.grouping)
