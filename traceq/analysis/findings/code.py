"""The source code that spans tell of."""

from __future__ import annotations

from traceq.semantics import CODE_FILE, CODE_LINE, first_text
from traceq.traces import Traces

_STEPS_UP = 8
"""Number of spans, from one upwards, that are asked."""


def code_of(traces: Traces, row: int) -> tuple[str, int]:
    """Say which file and line a span runs: as it tells itself, or the nearest span above it in its service.

    Returns:
        The path, empty where no span tells it or attributes were left out, and the line, 0 where it is not told.
    """
    if traces.details is None:
        return "", 0
    service = traces.service_codes[row]
    for _ in range(_STEPS_UP):
        if row < 0 or traces.service_codes[row] != service:
            break
        attributes = traces.span(row).details.attributes()
        if file := first_text(attributes, CODE_FILE):
            line = first_text(attributes, CODE_LINE)
            return file, int(line) if line.isascii() and line.isdigit() else 0
        row = traces.parents[row]
    return "", 0
