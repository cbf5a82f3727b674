"""What `bottlenecks --what-if` asks of tables of traces."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.analysis.culprits import RequestOptions
from traceq.analysis.what_if import Shortening, WhatIfSums, what_if
from traceq.traces import Traces


@dataclass(frozen=True, slots=True)
class WhatIfQuestion:
    """What shorter calls would save; to be asked of any number of slices."""

    options: RequestOptions
    changes: tuple[Shortening, ...]
    needs_details: bool = False

    def nothing(self) -> WhatIfSums:
        """Give the sums of no traces."""
        return WhatIfSums()

    def collect(self, traces: Traces) -> WhatIfSums:
        """Walk the critical paths of a table again."""
        return what_if(traces, self.changes, self.options)
