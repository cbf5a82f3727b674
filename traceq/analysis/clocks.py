"""Which spans were timed by the same clock."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Columns, Flags


def crosses_clocks(spans: Columns) -> Flags:
    """Tell the spans whose parent was timed by another clock.

    Spans share a clock when they name the same host, or, where one of them tells none, when they are of one service.
    """
    parents = spans.parents
    told = spans.hosts > 0
    both_told = told & told[parents]
    other: Flags = np.where(both_told, spans.hosts != spans.hosts[parents], spans.services != spans.services[parents])
    return other & (parents >= 0)
