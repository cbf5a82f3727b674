"""A flame graph upside down, an icicle: a line for each depth, callers above what they call, widths in proportion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from rich.segment import Segment
from rich.style import Style

from traceq.render.terminal.canvas import DIM, Pen, Strip, pad, shorten, width_of, wrapped
from traceq.report import Flame, FlameRow
from traceq.units import format_duration, format_ratio, format_signed

_MIN_CELLS = 6
"""Frames that are narrower than this, whose names could not be read, are joined with their neighbours."""
_MAX_LINES = 60
"""Deeper frames are counted; a picture is to be taken in at a glance."""
_SHARE_FROM = 14
"""Cells from which a frame has room for its share beside a name that was shortened."""
_NOTABLE_RATIO = 0.01
"""A frame has grown or shrunk if that is this share of all."""
_GROWN = Style(color="red", reverse=True)
_SHRUNK = Style(color="blue", reverse=True)
_PLAIN = Style(reverse=True, dim=True)


class _Box(Struct, frozen=True):
    """A frame, or frames joined into one, on its way into a line."""

    start: int
    """The first cell."""
    end: int
    """The cell after the last one."""
    row: FlameRow | None
    """None for joined frames."""
    count: int = 1
    """How many frames it stands for."""


class _Icicle(Struct):
    """The lines of an icicle in the making."""

    lines: list[list[_Box]]
    hidden_count: int = 0
    """Frames that are part of no box, since what they are below of is joined, or too deep."""


def draw_flame(flame: Flame, pen: Pen) -> Iterator[Strip]:
    """Draw a line for each depth, and what was joined below them.

    A frame has its name, its share and its time, as far as they fit, and its service where that is another than its
    caller's. In a comparison it has the difference, in red where it takes longer and in blue where it takes less.
    """
    icicle = _placed(flame, max(pen.width - 2, 1))
    for boxes in icicle.lines:
        line = _line(boxes, flame, pen)
        # Where everything is too narrow for a box, nothing is left to draw.
        if len(line) > 1:
            yield line
    joined = sum(box.count for boxes in icicle.lines for box in boxes if box.row is None) + icicle.hidden_count
    if joined:
        of_all = f"{joined:,} of {len(flame.rows):,} frames are too narrow or too deep to be drawn"
        told = f"{of_all}: +n stands for n of them, --format json has all"
        yield from ([Segment(" "), Segment(line, DIM)] for line in wrapped(pen.safe(told), max(pen.width - 1, 1)))


def _placed(flame: Flame, cells: int) -> _Icicle:
    """Find the cells of each frame; a caller's begin where those of its first callee do."""
    icicle = _Icicle([])
    ahead_ns = [0]
    """Where the next frame begins, by depth."""
    drawn_depth = 0
    """The greatest depth at which the next frame has a caller that is drawn."""
    for row in flame.rows:
        del ahead_ns[row.depth + 1 :]
        start_ns = ahead_ns[row.depth]
        ahead_ns[row.depth] += row.value_ns
        ahead_ns.append(start_ns)
        if row.depth > drawn_depth or row.depth >= _MAX_LINES:
            icicle.hidden_count += 1
            continue
        start, end = (
            round(time_ns * cells / max(flame.total_ns, 1)) for time_ns in (start_ns, start_ns + row.value_ns)
        )
        if row.depth == len(icicle.lines):
            icicle.lines.append([])
        is_wide = end - start >= min(_MIN_CELLS, cells)
        drawn_depth = row.depth + 1 if is_wide else row.depth
        _add(icicle.lines[row.depth], _Box(start, end, row if is_wide else None))
    return icicle


def _add(boxes: list[_Box], box: _Box) -> None:
    """Add a box to a line; frames that are too narrow share one with neighbours of the same caller."""
    last = boxes[-1] if boxes else None
    if box.row is None and last is not None and last.row is None and last.end == box.start:
        boxes[-1] = _Box(last.start, box.end, None, last.count + 1)
    else:
        boxes.append(box)


def _line(boxes: Sequence[_Box], flame: Flame, pen: Pen) -> Strip:
    """Draw boxes with a bar at each end, which neighbours share."""
    strip: Strip = [Segment(" ")]
    at = 0
    for box in boxes:
        room = box.end - box.start - 1
        if room < 1:
            continue
        if box.start >= at:
            strip.append(Segment(" " * (box.start - at) + pen.glyphs.pipe, DIM))
        text, style = _filled(box, flame, room, pen)
        strip += [Segment(pad(text, room), style), Segment(pen.glyphs.pipe, DIM)]
        at = box.end + 1
    return strip


def _filled(box: _Box, flame: Flame, room: int, pen: Pen) -> tuple[str, Style]:
    if box.row is not None:
        return _text(box.row, flame, room, pen), _style(box.row, flame, pen)
    text = f"+{box.count}"
    return (text if len(text) <= room else "+", DIM)


def _text(row: FlameRow, flame: Flame, room: int, pen: Pen) -> str:
    """Give as much of a frame's facts as fits: its name last of all shortened."""
    name = pen.safe(row.label)
    share = pen.safe(format_ratio(row.value_ns / flame.total_ns if flame.total_ns else 0.0))
    time = pen.safe(format_duration(row.value_ns))
    if row.delta_ns is not None:
        time = share
        share = pen.safe(format_signed(row.delta_ns))
    service = pen.safe(row.place)
    for text in (
        f"{name}  {service}  {share}  {time}",
        f"{name}  {share}  {time}",
        f"{name}  {share}",
        f"{name} {share}",
    ):
        if width_of(text) <= room:
            return text
    if room >= _SHARE_FROM and room - width_of(share) - 2 >= _MIN_CELLS:
        return f"{shorten(name, room - width_of(share) - 1, pen.glyphs.ellipsis)} {share}"
    return shorten(name, room, pen.glyphs.ellipsis)


def _style(row: FlameRow, flame: Flame, pen: Pen) -> Style:
    if row.delta_ns is None:
        return pen.hue(row.place) + Style(reverse=True) if row.place else _PLAIN
    if abs(row.delta_ns) < _NOTABLE_RATIO * flame.total_ns:
        return _PLAIN
    return _GROWN if row.delta_ns > 0 else _SHRUNK
