"""Learn from spans which operations occur above others, and which of them miss their parents."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Columns, Ints
from traceq.analysis.grouping import numbered_rows
from traceq.learned import Lineage, Operation


def learn_lineage(spans: Columns) -> Lineage:
    """Count how often operations occur directly below others, and how many spans miss their parents."""
    parents = spans.parents
    operations, numbers = number_operations(spans, np.arange(parents.size))
    children = np.flatnonzero(parents >= 0)
    above, below = numbers[parents[children]], numbers[children]
    places, groups = numbered_rows(above, below)
    counts = np.bincount(groups, minlength=places.size)
    lost = np.bincount(numbers[spans.orphaned], minlength=len(operations)).tolist()
    return Lineage(
        {
            (operations[parent], operations[child]): count
            for parent, child, count in zip(
                above[places].tolist(), below[places].tolist(), counts.tolist(), strict=True
            )
        },
        {operation: count for operation, count in zip(operations, lost, strict=True) if count},
    )


def number_operations(spans: Columns, rows: Ints) -> tuple[list[Operation], Ints]:
    """Number the operations of these rows: give the operations, and the number of each row."""
    traces = spans.traces
    codes = (spans.services[rows], spans.names[rows], spans.told_roles[rows])
    places, numbers = numbered_rows(*codes)
    parts = zip(*(column[places].tolist() for column in codes), strict=True)
    return [Operation(traces.services[service], traces.names[name], role) for service, name, role in parts], numbers
