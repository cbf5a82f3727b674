"""Rows of values under columns, fitted to the width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from rich.segment import Segment
from rich.style import Style

from traceq.render.terminal.canvas import (
    DIM,
    NOTHING,
    RED,
    Glyphs,
    Pen,
    Strip,
    aligned_durations,
    shorten,
    width_of,
    wrapped,
)
from traceq.report import (
    Column,
    Table,
    Unit,
    Value,
)
from traceq.units import format_count, format_duration, format_ratio, format_time

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
