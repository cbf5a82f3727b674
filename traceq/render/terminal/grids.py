"""Grids of cells: who calls whom as a square, and when requests were made and how long they took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.segment import Segment

from traceq.render.terminal.canvas import (
    BOLD,
    DIM,
    RED,
    Pen,
    Strip,
    pad,
    shorten,
    width_of,
    wrapped,
)
from traceq.report import (
    GraphNode,
    HeatMap,
    Matrix,
)
from traceq.units import format_count, format_duration, format_time

_GAP = 2
_MAX_NAME_RATIO = 0.4
_NO_CALLS = "·"


def draw_matrix(matrix: Matrix, pen: Pen) -> Iterator[Strip]:
    """Draw a row a caller and a column a callee, told apart by the number that stands before each name.

    Those who call nobody have no row, and those whom nobody calls no column. Columns that do not fit the width follow
    below, under the same rows.
    """
    numbers = {node.node_id: number for number, node in enumerate(matrix.nodes, 1)}
    cells: dict[tuple[str, str], str] = {}
    for edge in matrix.edges:
        label = pen.safe(edge.short_label or edge.label)
        told = cells.get((edge.source, edge.target))
        cells[edge.source, edge.target] = f"{told}+{label}" if told else label
    calling, called = {source for source, _ in cells}, {target for _, target in cells}
    callers = [node for node in matrix.nodes if node.node_id in calling]
    callees = [node for node in matrix.nodes if node.node_id in called]
    names = _names(callers, numbers, pen)
    name_width = max(map(width_of, names), default=0)
    empty = _NO_CALLS if not pen.canvas.is_ascii else "."
    widths = {
        callee.node_id: max(
            len(str(numbers[callee.node_id])),
            *(width_of(cells.get((caller.node_id, callee.node_id), empty)) for caller in callers),
        )
        for callee in callees
    }
    for number, band in enumerate(_bands(callees, widths, pen.width - 1 - name_width)):
        if number:
            yield []
        yield _line(
            "", [str(numbers[node.node_id]) for node in band], [widths[node.node_id] for node in band], name_width
        )
        for caller, name in zip(callers, names, strict=True):
            texts = [cells.get((caller.node_id, node.node_id), empty) for node in band]
            yield _line(name, texts, [widths[node.node_id] for node in band], name_width)
    yield from _key(callers, callees, numbers, pen)


def _names(callers: Sequence[GraphNode], numbers: dict[str, int], pen: Pen) -> list[str]:
    digits = len(str(max(numbers.values(), default=0)))
    room = max(int(pen.width * _MAX_NAME_RATIO), digits + 4)
    texts = [f"{numbers[node.node_id]:>{digits}} {pen.safe(node.label)}" for node in callers]
    return [shorten(text, room, pen.glyphs.ellipsis) for text in texts]


def _bands(callees: Sequence[GraphNode], widths: dict[str, int], room: int) -> Iterator[list[GraphNode]]:
    band: list[GraphNode] = []
    used = 0
    for node in callees:
        needed = _GAP + widths[node.node_id]
        if band and used + needed > room:
            yield band
            band, used = [], 0
        band.append(node)
        used += needed
    if band:
        yield band


def _line(name: str, texts: Sequence[str], widths: Sequence[int], name_width: int) -> Strip:
    strip: Strip = [Segment(" "), Segment(pad(name, name_width))]
    for text, width in zip(texts, widths, strict=True):
        style = DIM if text in {_NO_CALLS, "."} or not name else None
        strip += [Segment(" " * _GAP), Segment(pad(text, width, is_right=True), style)]
    return strip


def _key(
    callers: Sequence[GraphNode], callees: Sequence[GraphNode], numbers: dict[str, int], pen: Pen
) -> Iterator[Strip]:
    """Name the columns that are no rows as well."""
    known = {node.node_id for node in callers}
    others = [f"{numbers[node.node_id]} {pen.safe(node.label)}" for node in callees if node.node_id not in known]
    for line in wrapped("   ".join(others), pen.width - 1) if others else ():
        yield [Segment(" "), Segment(line, DIM)]


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
