"""What `findings`, `errors`, `stats` and `deps --impact` ask of tables of traces, wherever these come from."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.analysis import errors, findings, statistics
from traceq.analysis.culprits import RequestOptions
from traceq.analysis.dependencies import Dependencies
from traceq.analysis.errors import ErrorSums
from traceq.analysis.findings import FindingSums, Thresholds
from traceq.analysis.impact import ImpactSums, count_impact
from traceq.analysis.peers import PeerGrouping
from traceq.analysis.statistics import TAG, StatisticsOptions, StatisticsSums
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


@dataclass(frozen=True, slots=True)
class ErrorQuestion:
    """Where errors begin."""

    options: RequestOptions
    needs_details: bool = True
    """Messages are attributes and events."""

    def nothing(self) -> ErrorSums:
        """Give the sums of no traces."""
        return ErrorSums()

    def collect(self, traces: Traces) -> ErrorSums:
        """Sum up a table."""
        return errors.collect(traces, self.options)


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
