"""Reports drawn for people, as lines of rich segments.

Tables are laid out by hand: rich's own takes two seconds for five thousand rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, assert_never

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from traceq.render.terminal.canvas import (
    BOLD,
    DIM,
    NOTHING,
    RED,
    Canvas,
    Glyphs,
    Pen,
    Strip,
    aligned_durations,
    pad,
    shorten,
    trimmed,
    width_of,
    wrap,
    wrapped,
)
from traceq.report import (
    Block,
    Column,
    Fields,
    Flame,
    Graph,
    GraphNode,
    Histogram,
    Line,
    Matrix,
    Report,
    Table,
    Timeline,
    Unit,
    Value,
)
from traceq.units import format_count, format_duration, format_ratio, format_time

__all__ = ["Canvas", "Strip", "draw", "print_lines", "without_links"]

_BATCH = 500
"""Lines handed to the console at a time: few calls, and the first lines show before the last are drawn."""


def draw(report: Report, canvas: Canvas) -> Iterator[Strip]:
    """Draw a report's blocks and its footer, one line after the other, each within the canvas's width if it wraps.

    Blank lines are the report's business: an empty `Line` is one.
    """
    pen = Pen(canvas, report.trace_url)
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
            return draw_matrix(block, pen)
        case Histogram():
            return _draw_histogram(block, pen)
        case Fields():
            return _draw_fields(block, pen)
        case Line():
            return _draw_line(block, pen)
    assert_never(block)


_HANG = 2
"""Blanks before the further lines of a wrapped line, so that they do not look like lines of their own."""
_MIN_VALUE = 32
"""A trace id stays whole where the width allows it."""


def _draw_line(line: Line, pen: Pen) -> Iterator[Strip]:
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


def _draw_fields(fields: Fields, pen: Pen) -> Iterator[Strip]:
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


_GAP = 2
_SOFT_MIN = 24
"""A column that can shrink gives up this much before another is left out ..."""
_HARD_MIN = 4
"""... and this much when nothing is left to leave out."""


@dataclass(slots=True, eq=False)
class _Drawn:
    """A column on its way into a picture."""

    column: Column[Any]
    title: str
    texts: list[str]
    values: Sequence[Value]
    is_right: bool
    width: int

    def shrunk_to(self, floor: int) -> int:
        """Cells it needs when it gives up what it can."""
        return min(self.width, max(floor, width_of(self.title))) if self.column.can_shrink else self.width


def draw_table(table: Table, pen: Pen) -> Iterator[Strip]:
    """Draw titles and rows within the width: long text is shortened, and less important columns are left out."""
    if not table.rows:
        return
    by_column = zip(*table.rows, strict=True)
    columns = [_drawn(column, values, pen) for column, values in zip(table.columns, by_column, strict=True)]
    kept = _kept(columns, pen.width - 1)
    _fit(kept, pen.width - 1)
    yield _titles(kept, pen)
    for number in range(len(table.rows)):
        yield _row(kept, number, pen)
    left_out = [pen.safe(drawn.column.title.upper()) for drawn in columns if drawn not in kept and drawn.title]
    if left_out:
        note = f"width {pen.width}: {', '.join(left_out)} left out, see --format json"
        yield from ([Segment(" "), Segment(piece, DIM)] for piece in wrapped(note, pen.width - 1))


def _drawn(column: Column[Any], values: Sequence[Value], pen: Pen) -> _Drawn:
    title, texts = _cell_texts(column, values, pen)
    width = max(width_of(title), *map(width_of, texts))
    return _Drawn(column, title, texts, values, _is_right(column, values), width)


def _kept(columns: list[_Drawn], room: int) -> list[_Drawn]:
    """Leave out columns of the highest priority until the others fit; the first column always stays."""
    kept = list(columns)
    # The rightmost goes first among equals, the sort is stable; what is needed goes when even the least is too much.
    ids = {drawn for drawn in columns if drawn.column.unit is Unit.TRACE_ID and drawn.column.priority <= 0}
    others = [drawn for drawn in reversed(columns[1:]) if drawn not in ids]
    for drawn in sorted(others, key=lambda drawn: -drawn.column.priority):
        floor = _SOFT_MIN if drawn.column.priority > 0 else _HARD_MIN
        if _total(kept, floor) > room:
            kept.remove(drawn)
    return kept


def _total(columns: list[_Drawn], floor: int) -> int:
    return sum(drawn.shrunk_to(floor) + _GAP for drawn in columns) - _GAP


def _fit(columns: list[_Drawn], room: int) -> None:
    """Take from the columns that can shrink, in proportion to what each has above its least."""
    excess = sum(drawn.width + _GAP for drawn in columns) - _GAP - room
    floor = _SOFT_MIN if _total(columns, _SOFT_MIN) <= room else _HARD_MIN
    spare = sum(drawn.width - drawn.shrunk_to(floor) for drawn in columns)
    for drawn in columns:
        if excess <= 0:
            return
        own = drawn.width - drawn.shrunk_to(floor)
        # Rounded up, and what the last ones need not give they keep.
        given = min(-(-excess * own // spare), own) if spare else 0
        drawn.width -= given
        excess -= given
        spare -= own
    if excess > 0:
        _squeeze(columns, excess)


def _squeeze(columns: list[_Drawn], excess: int) -> None:
    """Take from columns that cannot shrink, ids last: better a shortened one than a broken line."""
    for drawn in sorted(columns, key=lambda drawn: drawn.column.unit is Unit.TRACE_ID):
        given = min(excess, drawn.width - 1)
        drawn.width -= given
        excess -= given


def _titles(columns: list[_Drawn], pen: Pen) -> Strip:
    strip: Strip = [Segment(" ")]
    for drawn in columns:
        title = shorten(drawn.title, drawn.width, pen.glyphs.ellipsis)
        strip += _placed(title, DIM, drawn)
    return strip


def _row(columns: list[_Drawn], number: int, pen: Pen) -> Strip:
    strip: Strip = [Segment(" ")]
    for drawn in columns:
        text = shorten(drawn.texts[number], drawn.width, pen.glyphs.ellipsis)
        strip += _placed(text, _style(drawn, number, pen), drawn)
    return strip


def _placed(text: str, style: Style | None, drawn: _Drawn) -> Strip:
    # Blanks stay outside the styled text: a link should not reach into the gap.
    blanks = drawn.width - width_of(text)
    left, right = (blanks, _GAP) if drawn.is_right else (0, blanks + _GAP)
    return [Segment(" " * left), Segment(text, style), Segment(" " * right)]


def _style(drawn: _Drawn, number: int, pen: Pen) -> Style | None:
    value = drawn.values[number]
    if drawn.column.unit is Unit.SERVICE and isinstance(value, str):
        return pen.hue(value)
    if drawn.column.unit is Unit.TRACE_ID and isinstance(value, str):
        return pen.trace_link(value)
    return RED if drawn.column.unit is Unit.ERRORS and value else None


_BAR_CELLS = 10
_DATE = len("2026-11-22")


def _is_right(column: Column[Any], values: Sequence[Value]) -> bool:
    """Say whether a column is aligned right: numbers that are compared are."""
    if column.unit is Unit.TEXT:
        return all(value is None or _is_number(value) for value in values)
    return column.unit in {Unit.COUNT, Unit.ERRORS, Unit.DURATION, Unit.RATIO}


def _cell_texts(column: Column[Any], values: Sequence[Value], pen: Pen) -> tuple[str, list[str]]:
    """Write a column's title and its cells.

    The units of durations stand below each other. Times of one day carry the date in the title.
    """
    title = pen.safe(column.title.upper())
    if column.unit is Unit.TIME:
        return _times(title, values)
    texts = [NOTHING if value is None else _text(column.unit, value, pen) for value in values]
    if column.unit is Unit.DURATION:
        return title, aligned_durations(texts)
    return title, texts


def _text(unit: Unit, value: Value, pen: Pen) -> str:
    if unit is Unit.BAR:
        return _bar(value, pen.glyphs) if isinstance(value, (int, float)) else ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return pen.safe(_number_format(unit)(value))
    return _words(value, pen)


def _number_format(unit: Unit) -> Callable[[float], str]:
    match unit:
        case Unit.COUNT:
            return lambda number: format_count(int(number))
        case Unit.ERRORS:
            return lambda number: f"!{format_count(int(number))}" if number else NOTHING
        case Unit.DURATION:
            return lambda number: format_duration(int(number))
        case Unit.RATIO:
            return format_ratio
        case Unit.TEXT | Unit.SERVICE | Unit.TRACE_ID | Unit.TIME | Unit.BAR | Unit.OBJECT:
            return lambda number: str(number) if isinstance(number, int) else f"{number:.3g}"
    assert_never(unit)


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _words(value: Value, pen: Pen) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) or not isinstance(value, Sequence):
        return pen.safe(str(value))
    return pen.glyphs.separator.join(pen.safe(member) for member in value)


def _times(title: str, values: Sequence[Value]) -> tuple[str, list[str]]:
    texts = [format_time(value) if isinstance(value, int) else NOTHING for value in values]
    days = {text[:_DATE] for text in texts if text != NOTHING}
    if len(days) != 1 or any(text.startswith("epoch") for text in texts):
        return title, texts
    return f"{title} {days.pop()}", [text[_DATE + 1 :] or text for text in texts]


def _bar(ratio: float, glyphs: Glyphs, cells: int = _BAR_CELLS) -> str:
    """Draw 0..1 as a bar; what is above zero is never invisible."""
    steps = len(glyphs.eighths)
    filled = round(min(max(ratio, 0.0), 1.0) * cells * steps)
    if ratio > 0:
        filled = max(filled, 1)
    whole, rest = divmod(filled, steps)
    return glyphs.eighths[-1] * whole + (glyphs.eighths[rest - 1] if rest else "")


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
