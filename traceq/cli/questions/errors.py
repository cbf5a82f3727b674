"""What `errors` asks of tables of traces."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.analysis import errors
from traceq.analysis.culprits import RequestOptions
from traceq.analysis.errors import ErrorSums
from traceq.traces import Traces


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
