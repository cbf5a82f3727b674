"""When requests were made and how long they took: a character for each stretch of time and duration."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from rich.segment import Segment

from traceq.render.terminal.canvas import BOLD, DIM, RED, Pen, Strip, width_of
from traceq.report import HeatMap
from traceq.units import format_count, format_duration, format_time

_ROWS = 6
_CLOCK = len("2026-11-22 ")


def draw_heat_map(found: HeatMap, pen: Pen) -> Iterator[Strip]:
    """Draw longer durations above shorter ones, the more requests the fuller, and failures below."""
    if not found.counts:
        return
    edges = [pen.safe(format_duration(end)) for end in (found.high_ns, found.low_ns)]
    margin = max(map(width_of, edges))
    size = -(-len(found.counts) // max(pen.width - margin - 3, 1))
    columns = [_column(found.counts[at : at + size]) for at in range(0, len(found.counts), size)]
    failed = [sum(found.failed[at : at + size]) for at in range(0, len(found.failed), size)]
    top = max(max(column) for column in columns)
    for row in reversed(range(_ROWS)):
        label = edges[0] if row == _ROWS - 1 else edges[1] if row == 0 else ""
        cells = "".join(_cell(column[row], top, pen) for column in columns)
        yield [Segment(f" {label:>{margin}} ", DIM), Segment(cells, BOLD)]
    if any(failed):
        marks = "".join("!" if count else " " for count in failed)
        yield [Segment(" " * (margin + 2)), Segment(marks, RED), Segment(f"  {format_count(sum(failed))} failed", RED)]
    if found.marked_ns is not None:
        # What stands out is said in words, too: this shows where it is.
        yield [Segment(" " * (margin + 2)), Segment(_underlined(found, found.marked_ns, size, pen), DIM)]
    yield [Segment(f" {'':{margin}} {_ends(found, len(columns))}", DIM)]


def _column(parts: tuple[tuple[int, ...], ...]) -> list[int]:
    """Add up neighbouring columns, and the durations of each down to the rows that are drawn."""
    counts = [sum(part[at] for part in parts) for at in range(len(parts[0]))]
    ends = [-(-len(counts) * row // _ROWS) for row in range(_ROWS + 1)]
    return [sum(counts[start:end]) for start, end in pairwise(ends)]


def _underlined(found: HeatMap, marked_ns: tuple[int, int], size: int, pen: Pen) -> str:
    first, last = ((end - found.start_ns) // (found.width_ns * size) for end in marked_ns)
    return " " * first + pen.glyphs.strokes["11"] * (last - first + 1)


def _cell(count: int, top: int, pen: Pen) -> str:
    levels = pen.glyphs.levels
    # Rounded up: whatever is above zero is seen.
    return levels[-(-count * len(levels) // top) - 1] if count else " "


def _ends(found: HeatMap, width: int) -> str:
    first = format_time(found.start_ns)
    last = format_time(found.start_ns + found.width_ns * len(found.counts))
    last = last[_CLOCK:] if last[:_CLOCK] == first[:_CLOCK] else last
    blanks = width - len(first) - len(last)
    return f"{first}{' ' * blanks}{last}" if blanks > 0 else f"{first} to {last}"
