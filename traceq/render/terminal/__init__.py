"""Reports drawn for people, as lines of rich segments.

Tables are laid out by hand: rich's own takes two seconds for five thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import assert_never

from rich.console import Console
from rich.segment import Segment, Segments

from traceq.render.hues import hues_of
from traceq.render.terminal.canvas import (
    BOLD,
    DIM,
    Canvas,
    Pen,
    Strip,
    pad,
    trimmed,
    width_of,
    wrap,
    wrapped,
)
from traceq.render.terminal.table import draw_table
from traceq.report import (
    Block,
    Fields,
    Flame,
    Graph,
    Heading,
    HeatMap,
    Histogram,
    Line,
    Matrix,
    Part,
    Report,
    Table,
    Timeline,
)
from traceq.units import format_duration

__all__ = ["Canvas", "Strip", "draw", "print_lines", "without_links"]

_BATCH = 500
"""Lines handed to the console at a time: few calls, and the first lines show before the last are drawn."""


def draw(report: Report, canvas: Canvas) -> Iterator[Strip]:
    """Draw a report's blocks and its footer, one line after the other, each within the canvas's width if it wraps.

    Blank lines are the report's business: an empty `Line` is one.
    """
    pen = Pen(canvas, report.trace_url, hues_of(report))
    for block in (*report.blocks, *report.footer):
        yield from map(trimmed, _draw_block(block, pen))


def without_links(lines: Iterable[Strip]) -> Iterator[Strip]:
    """Take the links off drawn lines."""
    for strip in lines:
        yield [
            Segment(text, style.update_link(None) if style is not None and style.link else style)
            for text, style, _ in strip
        ]


def print_lines(lines: Iterator[Strip], console: Console) -> None:
    """Write drawn lines; the console decides about colours and where to."""
    while batch := list(islice(lines, _BATCH)):
        # Already measured and wrapped: rich shall neither crop nor wrap it again.
        console.print(Segments(_with_newlines(batch)), end="", crop=False, soft_wrap=True)


def _with_newlines(lines: Iterable[Strip]) -> Iterable[Segment]:
    newline = Segment.line()
    return chain.from_iterable((*line, newline) for line in lines)


def _draw_block(block: Block, pen: Pen) -> Iterator[Strip]:
    match block:
        case Table():
            return draw_table(block, pen)
        # Late, as below: `show` alone draws timelines and `deps` alone graphs, half of what would be imported.
        case Timeline():
            from traceq.render.terminal.timeline import draw_timeline

            return draw_timeline(block, pen)
        case Graph():
            from traceq.render.terminal.graph import draw_graph

            return draw_graph(block, pen)
        case Flame():
            from traceq.render.terminal.flame import draw_flame

            return draw_flame(block, pen)
        case Matrix():
            from traceq.render.terminal.grids import draw_matrix

            return draw_matrix(block, pen)
        case Histogram():
            return _draw_histogram(block, pen)
        case HeatMap():
            from traceq.render.terminal.grids import draw_heat_map

            return draw_heat_map(block, pen)
        case Fields():
            return _draw_fields(block, pen)
        case Line() | Heading():
            return _draw_line(block if isinstance(block, Line) else Line((Part(block.text, "strong"),)), pen)
    assert_never(block)


_HANG = 2
"""Blanks before the further lines of a wrapped line, so that they do not look like lines of their own."""
_MIN_VALUE = 32
"""A trace id stays whole where the width allows it."""


def _draw_line(line: Line, pen: Pen) -> Iterator[Strip]:
    """Draw a line of text, wrapped between words; what is to be copied is left to the terminal to break."""
    pieces = [
        pen.named(pen.safe(part.text), part.text)
        if part.role == "service"
        else [Segment(pen.safe(part.text), pen.style(part.role, part.text))]
        for part in line.parts
    ]
    parts = [(segment.text, segment.style) for segment in chain.from_iterable(pieces)]
    if not line.wraps:
        yield [Segment(part, style) for part, style in parts if part]
        return
    text = "".join(part for part, _ in parts)
    hang = min(len(text) - len(text.lstrip(" ")) + _HANG, pen.width // 3)
    for number, (start, end) in enumerate(wrap(text, pen.width, hang)):
        strip: Strip = [Segment(" " * hang)] if number else []
        position = 0
        for part, style in parts:
            piece = part[max(start - position, 0) : max(end - position, 0)]
            if piece:
                strip.append(Segment(piece, style))
            position += len(part)
        yield strip


def _draw_fields(fields: Fields, pen: Pen) -> Iterator[Strip]:
    """Draw names and values below each other, the values in one column and wrapped within it.

    A name too long for its column, and a value of several lines, as a stack trace is, get lines of their own.
    """
    pairs = [(pen.safe(name), value) for name, value in fields.pairs]
    most = max(min(pen.width // 2, pen.width - 3 - _MIN_VALUE), 4)
    names = max((width for name, _ in pairs if (width := width_of(name)) <= most), default=0)
    value_width = max(pen.width - names - 3, 1)
    for name, value in pairs:
        texts = [pen.safe(text) for text in value.split("\n")]
        has_lines, label = len(texts) > 1, name
        if has_lines or width_of(name) > names:
            yield from ([Segment(" "), Segment(piece, DIM)] for piece in wrapped(name, pen.width - 1))
            label = ""
        margin, room = (_HANG, pen.width - 1 - _HANG) if has_lines else (names + 2, value_width)
        for text in texts:
            hang = len(text) - len(text.lstrip(" ")) + _HANG if has_lines else 0
            for piece in wrapped(text, room, hang):
                yield [Segment(" "), Segment(pad(label, margin), DIM), Segment(piece)]
                label = ""


def _draw_histogram(histogram: Histogram, pen: Pen) -> Iterator[Strip]:
    """Draw a row of blocks between the two ends; a bucket that is not empty is never blank."""
    low, high = (pen.safe(format_duration(end)) for end in (histogram.low_ns, histogram.high_ns))
    counts = _merged(histogram.counts, pen.width - len(low) - len(high) - 4)
    top = max(counts, default=0)
    levels = pen.glyphs.levels
    # Rounded up: whatever is above zero has a block.
    blocks = "".join(levels[-(-count * len(levels) // top) - 1] if count else " " for count in counts)
    middle: Strip = [Segment(" "), Segment(blocks, BOLD), Segment(" ")] if counts else [Segment(" ")]
    yield [Segment(" "), Segment(low, DIM), *middle, Segment(high, DIM)]


def _merged(counts: tuple[int, ...], room: int) -> list[int]:
    """Add up neighbouring buckets until they fit."""
    if room < 1:
        return []
    size = max(-(-len(counts) // room), 1)
    return [sum(counts[start : start + size]) for start in range(0, len(counts), size)]
