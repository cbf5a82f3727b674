"""Rows of values under columns, fitted to the width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, assert_never

from msgspec import Struct
from msgspec.structs import replace
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
from traceq.render.terminal.fitting import GAP, Wish, fit
from traceq.render.terminal.shortening import shorten_all
from traceq.report import (
    Column,
    Table,
    Unit,
    Value,
)
from traceq.units import (
    format_count,
    format_duration,
    format_number,
    format_ratio,
    format_signed,
    format_time,
    zone_of,
)

_EMPTY = 1_000
"""Makes the priority of a column without any value higher than that of any other."""


class _Drawn(Struct, eq=False):
    """A column on its way into a picture."""

    column: Column[Any]
    title: str
    texts: list[str]
    values: Sequence[Value]
    is_right: bool
    width: int

    @property
    def is_empty(self) -> bool:
        """Whether no cell holds anything."""
        return all(text.strip() in {"", NOTHING} for text in self.texts)

    def wish(self) -> Wish:
        """Say what it needs of the width; what is empty everywhere comes after everything else."""
        column = self.column
        is_id = column.unit is Unit.TRACE_ID and column.priority <= 0
        priority = column.priority + (_EMPTY if self.is_empty else 0)
        return Wish(self.width, width_of(self.title), column.can_shrink, is_id, priority, column.least_width)


def draw_table(table: Table, pen: Pen) -> Iterator[Strip]:
    """Draw titles and rows within the width: long text is shortened, and less important columns are left out."""
    if not table.rows:
        return
    by_column = zip(*table.rows, strict=True)
    columns = [_drawn(column, values, pen) for column, values in zip(table.columns, by_column, strict=True)]
    widths = fit([drawn.wish() for drawn in columns], pen.width - 1)
    kept = [_fitted(drawn, width, pen) for drawn, width in zip(columns, widths, strict=True) if width]
    yield _titles(kept, pen)
    for number in range(len(table.rows)):
        yield _row(kept, number, pen)
    left_out = [
        pen.safe(drawn.column.title.upper())
        for drawn, width in zip(columns, widths, strict=True)
        if not width and drawn.title and not drawn.is_empty
    ]
    notes = [_note_on_times(kept)]
    notes += [f"width {pen.width}: {', '.join(left_out)} left out, see --format json"] if left_out else []
    for note in filter(None, notes):
        yield from ([Segment(" "), Segment(piece, DIM)] for piece in wrapped(note, pen.width - 1))


def _fitted(drawn: _Drawn, width: int, pen: Pen) -> _Drawn:
    """Shorten the texts of a column to its width."""
    texts = drawn.texts if width == drawn.width else shorten_all(drawn.texts, width, pen.glyphs.ellipsis)
    return replace(drawn, texts=texts, width=width)


def _drawn(column: Column[Any], values: Sequence[Value], pen: Pen) -> _Drawn:
    title, texts = _cell_texts(column, values, pen)
    width = max(width_of(title), *map(width_of, texts))
    return _Drawn(column, title, texts, values, _is_right(column, values), width)


def _titles(columns: list[_Drawn], pen: Pen) -> Strip:
    strip: Strip = [Segment(" ")]
    for drawn in columns:
        title = shorten(drawn.title, drawn.width, pen.glyphs.ellipsis)
        strip += _placed(title, DIM, drawn)
    return strip


def _row(columns: list[_Drawn], number: int, pen: Pen) -> Strip:
    strip: Strip = [Segment(" ")]
    for drawn in columns:
        strip += _cell(drawn, number, pen)
    return strip


def _cell(drawn: _Drawn, number: int, pen: Pen) -> Strip:
    text, value = drawn.texts[number], drawn.values[number]
    if drawn.column.unit is Unit.SERVICE and isinstance(value, str):
        blanks = drawn.width - width_of(text) + GAP
        return [*pen.named(text, value), Segment(" " * blanks)]
    return _placed(text, _style(drawn, number, pen), drawn)


def _placed(text: str, style: Style | None, drawn: _Drawn) -> Strip:
    # Blanks stay outside the styled text: a link should not reach into the gap.
    blanks = drawn.width - width_of(text)
    left, right = (blanks, GAP) if drawn.is_right else (0, blanks + GAP)
    return [Segment(" " * left), Segment(text, style), Segment(" " * right)]


def _style(drawn: _Drawn, number: int, pen: Pen) -> Style | None:
    value = drawn.values[number]
    if drawn.column.unit is Unit.TRACE_ID and isinstance(value, str):
        return pen.trace_link(value)
    return RED if drawn.column.unit is Unit.ERRORS and value else None


_BAR_CELLS = 10
_DATE, _SECONDS = len("2026-11-22"), len("2026-11-22 12:00:00")


def _is_right(column: Column[Any], values: Sequence[Value]) -> bool:
    """Say whether a column is aligned right: numbers that are compared are."""
    if column.unit is Unit.TEXT:
        return all(value is None or _is_number(value) for value in values)
    return column.unit in {Unit.COUNT, Unit.ERRORS, Unit.DURATION, Unit.CHANGE, Unit.RATIO}


def _cell_texts(column: Column[Any], values: Sequence[Value], pen: Pen) -> tuple[str, list[str]]:
    """Write a column's title and its cells.

    The units of durations stand below each other. Times of one day are written without it.
    """
    title = pen.safe(column.title.upper())
    if column.unit is Unit.TIME:
        return title, _times(values)
    texts = [NOTHING if value is None else _text(column.unit, value, pen) for value in values]
    if column.unit in {Unit.DURATION, Unit.CHANGE}:
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
        case Unit.CHANGE:
            return lambda number: format_signed(int(number))
        case Unit.RATIO:
            return format_ratio
        case Unit.TEXT | Unit.SERVICE | Unit.TRACE_ID | Unit.TIME | Unit.BAR | Unit.OBJECT:
            return lambda number: str(number) if isinstance(number, int) else format_number(number)
    assert_never(unit)


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _words(value: Value, pen: Pen) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) or not isinstance(value, Sequence):
        return pen.safe(str(value))
    return pen.glyphs.separator.join(pen.safe(member) for member in value)


def _times(values: Sequence[Value]) -> list[str]:
    """Write times to the second, without the day where all are of one: a note says which."""
    texts = [format_time(value)[:_SECONDS] if isinstance(value, int) else NOTHING for value in values]
    return [text[_DATE + 1 :] or text for text in texts] if _day(values) else texts


def _day(values: Sequence[Value]) -> str:
    """Give the day of all times; empty where there are several, or years that calendars do not know."""
    days = {format_time(value)[:_DATE] for value in values if isinstance(value, int)}
    return days.pop() if len(days) == 1 and not any(day.startswith("epoch") for day in days) else ""


def _note_on_times(columns: Sequence[_Drawn]) -> str:
    """Say once which day and which zone the times of a table are of."""
    values = [value for drawn in columns if drawn.column.unit is Unit.TIME for value in drawn.values]
    zones = dict.fromkeys(zone_of(value) for value in values if isinstance(value, int))
    day = _day(values)
    return f"times: {f'{day} ' if day else ''}{' and '.join(zones)}" if zones else ""


def _bar(ratio: float, glyphs: Glyphs, cells: int = _BAR_CELLS) -> str:
    """Draw 0..1 as a bar; what is above zero is never invisible."""
    steps = len(glyphs.eighths)
    filled = round(min(max(ratio, 0.0), 1.0) * cells * steps)
    if ratio > 0:
        filled = max(filled, 1)
    whole, rest = divmod(filled, steps)
    return glyphs.eighths[-1] * whole + (glyphs.eighths[rest - 1] if rest else "")
