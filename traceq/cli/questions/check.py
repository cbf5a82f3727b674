"""What `check` asks of tables of traces, wherever these come from."""

from __future__ import annotations

from dataclasses import dataclass, field

from traceq.analysis import checks, findings
from traceq.analysis.checks import CheckSums
from traceq.analysis.comparison import cohorts
from traceq.analysis.comparison.cohorts import Cohort
from traceq.analysis.culprits import RequestOptions
from traceq.analysis.expressions import Expression
from traceq.analysis.findings import FindingSums, Thresholds
from traceq.traces import Traces


@dataclass(frozen=True, slots=True)
class ChecksSums:
    """What any number of checks need; adds to others."""

    trace_count: int = 0
    span_count: int = 0
    measured: tuple[CheckSums, ...] = ()
    """One for each bound on something measured, in their order."""
    findings: FindingSums = field(default_factory=FindingSums)
    """Nothing where no check asks for them."""
    cohort: Cohort = field(default_factory=Cohort)
    """Nothing where there is no baseline."""

    def __add__(self, other: ChecksSums) -> ChecksSums:
        return ChecksSums(
            self.trace_count + other.trace_count,
            self.span_count + other.span_count,
            tuple(one + more for one, more in zip(self.measured, other.measured, strict=True)),
            self.findings + other.findings,
            self.cohort + other.cohort,
        )


@dataclass(frozen=True, slots=True)
class ChecksQuestion:
    """What checks are about: all of them at once, so that traces are read once."""

    options: RequestOptions
    bounds: tuple[Expression, ...] = ()
    """On something measured."""
    with_findings: bool = False
    """Whether a check asks for findings."""
    with_cohort: bool = False
    """Whether requests are compared with those of a baseline."""

    @property
    def needs_details(self) -> bool:
        """Whether findings are looked for; what is measured stands in columns."""
        return self.with_findings

    def nothing(self) -> ChecksSums:
        """Give the sums of no traces."""
        return ChecksSums(measured=tuple(CheckSums() for _ in self.bounds))

    def collect(self, traces: Traces) -> ChecksSums:
        """Sum up a table."""
        found = findings.collect(traces, self.options, Thresholds()) if self.with_findings else FindingSums()
        cohort = cohorts.collect(traces, self.options) if self.with_cohort else Cohort()
        measured = tuple(checks.collect(traces, bound) for bound in self.bounds)
        return ChecksSums(len(traces), traces.span_count, measured, found, cohort)
