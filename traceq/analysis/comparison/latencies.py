"""How long traces kept those who asked waiting."""

from __future__ import annotations

from traceq.analysis.columns import columns
from traceq.analysis.culprits import RequestOptions
from traceq.analysis.requests import find_requests
from traceq.traces import Traces


def slowest_requests(traces: Traces, options: RequestOptions) -> dict[int, int]:
    """Give the latency of the slowest request of each trace, by the trace's position, in ns.

    A trace without any request of the kind asked for is left out.
    """
    spans = columns(traces)
    requests = find_requests(spans, options.service, whole_trace=options.whole_trace)
    slowest: dict[int, int] = {}
    for entry in requests.entries.tolist():
        trace, duration_ns = int(spans.trace[entry]), int(spans.duration_ns[entry])
        slowest[trace] = max(slowest.get(trace, 0), duration_ns)
    return slowest
