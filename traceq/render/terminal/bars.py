"""The bars of a waterfall, in half cells."""

from __future__ import annotations

from collections.abc import Mapping

from traceq.report import TimelineRow
from traceq.units import format_duration

_MIN_QUARTERS = 56
"""Cells from which a ruler has room for four marks."""


def scale_of(duration_ns: int, cells: int) -> float:
    """Say how many half cells a nanosecond is."""
    return 2 * cells / duration_ns if duration_ns > 0 else 0.0


def place(row: TimelineRow, scale: float, cells: int) -> tuple[int, int]:
    """Find the halves a row's bar covers, the second exclusive; every bar has one at least."""
    start = min(max(round(row.start_ns * scale), 0), 2 * cells - 1)
    end = min(max(round((row.start_ns + row.duration_ns) * scale), start + 1), 2 * cells)
    return start, end


def stroke(row: TimelineRow, halves: tuple[int, int], scale: float, strokes: Mapping[str, str]) -> str:
    """Draw a row's bar without the blanks before it.

    Heavy on the critical path, light off it, dashed where the span is asynchronous.

    Args:
        row: What the bar stands for.
        halves: Where it lies, as `place` says.
        scale: Halves a nanosecond.
        strokes: The glyphs, see `Glyphs.strokes`.
    """
    start, end = halves
    light, heavy = ("3", "4") if row.relation == "asynchronous" else ("1", "2")
    weights = [light] * (end - start)
    for critical_start, critical_end in row.critical:
        # However short, a stretch of the critical path is seen.
        first = min(max(round(critical_start * scale) - start, 0), end - start - 1)
        last = min(max(round(critical_end * scale) - start, first + 1), end - start)
        weights[first:last] = [heavy] * (last - first)
    drawn = "0" * (start % 2) + "".join(weights) + "0" * (end % 2)
    return "".join([strokes[drawn[at : at + 2]] for at in range(0, len(drawn), 2)])


def ruler(duration_ns: int, cells: int) -> str:
    """Write the scale of the bars: where they begin, some marks between, and what the full width is."""
    line = [" "] * cells
    marks = 4 if cells >= _MIN_QUARTERS else 2
    for mark in (0, marks, *range(1, marks)):
        text = format_duration(duration_ns * mark // marks) if mark else "0"
        start = min(max(cells * mark // marks - len(text) // 2, 0), cells - len(text))
        # The ends come first: a mark that would touch them is left out.
        if start >= 0 and not "".join(line[max(start - 1, 0) : start + len(text) + 1]).strip():
            line[start : start + len(text)] = text
    return "".join(line)
