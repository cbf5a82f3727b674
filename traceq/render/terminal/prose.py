"""Lines of text, names with values, and histograms."""

from __future__ import annotations

from collections.abc import Iterator

from rich.segment import Segment

from traceq.render.terminal.canvas import BOLD, DIM, Pen, Strip, pad, shorten, width_of, wrap, wrapped
from traceq.report import Fields, Histogram, Line
from traceq.units import format_duration

_HANG = 2
"""Blanks before the further lines of a wrapped line, so that they do not look like lines of their own."""
_MIN_VALUE = 32
"""A trace id stays whole where the width allows it."""


def draw_line(line: Line, pen: Pen) -> Iterator[Strip]:
    """Draw a line of text, wrapped between words; what is to be copied is left to the terminal to break."""
    parts = [(pen.safe(part.text), pen.style(part.role, part.text)) for part in line.parts]
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


def draw_fields(fields: Fields, pen: Pen) -> Iterator[Strip]:
    """Draw names and values below each other, the values in one column and wrapped within it."""
    pairs = [(pen.safe(name), pen.safe(value)) for name, value in fields.pairs]
    names = min(
        max((width_of(name) for name, _ in pairs), default=0), max(min(pen.width // 3, pen.width - 3 - _MIN_VALUE), 4)
    )
    value_width = max(pen.width - names - 3, 1)
    for name, value in pairs:
        label = shorten(name, names, pen.glyphs.ellipsis)
        if label != name:
            # A name too long for the column is a fact of its own: it gets its own lines.
            yield from ([Segment(" "), Segment(piece, DIM)] for piece in wrapped(name, pen.width - 1))
            label = ""
        for piece in wrapped(value, value_width):
            yield [Segment(" "), Segment(pad(label, names), DIM), Segment("  "), Segment(piece)]
            label = ""


def draw_histogram(histogram: Histogram, pen: Pen) -> Iterator[Strip]:
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
