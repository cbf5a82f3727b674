"""How long traces kept those who asked waiting."""

from __future__ import annotations

import numpy as np

from traceq.analysis.comparison.cohorts import Cohort


def slowest_requests(cohort: Cohort) -> dict[int, int]:
    """Give the latency of the slowest request of each trace, by its position in the cohort's traces, in ns.

    A trace without any request is left out.
    """
    slowest: dict[int, int] = {}
    first = 0
    for batch in cohort.batches:
        latency_ns = np.full(len(batch.traces), -1, dtype=np.int64)
        np.maximum.at(latency_ns, batch.requests.traces, batch.requests.latency_ns)
        slowest |= {first + at: longest for at, longest in enumerate(latency_ns.tolist()) if longest >= 0}
        first += len(batch.traces)
    return slowest
