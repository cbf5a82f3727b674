"""Rows of values under columns, fitted to the width: how columns share it, and how texts are shortened together.

A wider terminal never shows less of any column, and texts that differ still differ when they are shortened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from rich.segment import Segment
from rich.style import Style

from traceq.render import is_compared, is_number, number_text
from traceq.render.terminal.canvas import (
    DIM,
    NOTHING,
    RED,
    Glyphs,
    Pen,
    Strip,
    aligned_durations,
    cut,
    cut_front,
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
from traceq.units import (
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
    return _Drawn(column, title, texts, values, is_compared(column, values), width)


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
    if is_number(value):
        if unit is not Unit.ERRORS:
            return pen.safe(number_text(unit, value))
        return pen.safe(f"!{number_text(unit, value)}") if value else NOTHING
    return _words(value, pen)


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


GAP = 2
_LEAST = 4
"""Number of cells with which a column that can shrink begins."""
_FAIR = 24
"""Number of cells that it gets before others are added that can be done without."""
_AMPLE = 60
"""Number of cells that it gets before those are added that are only nice to have."""
_NICE = 3
"""The priority of what is only nice to have."""


class Wish(Struct, frozen=True):
    """What a column asks for."""

    width: int
    """Cells in which everything fits."""
    title: int
    """Cells of its title, of which it takes no fewer."""
    can_shrink: bool
    is_id: bool
    """Whether it is worth more than any other."""
    priority: int
    """0 for what is needed; the higher, the later it is added."""
    worth: int
    """Cells from which it is added where it can be done without: width stays unused until they fit."""

    def least(self, floor: int) -> int:
        """Cells with which it is worth adding."""
        return min(self.width, max(floor, self.title)) if self.can_shrink else self.width


def fit(wishes: Sequence[Wish], room: int) -> list[int]:
    """Share out the width; 0 for columns that are left out.

    Cells are given away in an order that does not depend on the width, until they are used up: so a wider terminal
    gives every column at least as much.
    """
    widths = [0] * len(wishes)
    spent = 0
    for column, cells in _gifts(wishes):
        price = cells + (GAP if not widths[column] and any(widths) else 0)
        if spent + price > room:
            break
        widths[column] += cells
        spent += price
    return widths


def _gifts(wishes: Sequence[Wish]) -> Iterator[tuple[int, int]]:
    """Give columns and the cells that they get next, the most needed first."""
    # Ids, then what names the row, then from left to right.
    order = sorted(range(len(wishes)), key=lambda at: (not wishes[at].is_id, at > 0, wishes[at].priority, at))
    needed = [at for at in order if wishes[at].priority <= 0 or wishes[at].is_id or at == 0]
    others = [at for at in order if at not in needed]
    widths = [0] * len(wishes)

    def give(column: int, cells: int) -> tuple[int, int]:
        widths[column] += cells
        return column, cells

    def grow(columns: Sequence[int], limit: int | None) -> Iterator[tuple[int, int]]:
        bounds = {at: wishes[at].width if limit is None else wishes[at].least(limit) for at in columns}
        while growing := [at for at in columns if widths[at] < bounds[at]]:
            # In proportion: whoever has least of what it asks for.
            yield give(min(growing, key=lambda at: widths[at] / wishes[at].width), 1)

    for number, column in enumerate(needed):
        least = wishes[column].least(_LEAST)
        # The first is there in any width, however little of it.
        yield from (give(column, 1) for _ in range(least)) if number == 0 else (give(column, least),)
    yield from grow(needed, _FAIR)
    wanted = [at for at in others if wishes[at].priority < _NICE]
    yield from (give(at, wishes[at].least(wishes[at].worth)) for at in wanted)
    yield from grow([*needed, *wanted], _AMPLE)
    yield from (give(at, wishes[at].least(wishes[at].worth)) for at in others if at not in wanted)
    yield from grow(range(len(wishes)), None)


_TAILS = (0.5, 0.75, 1.0)
"""Shares of the room that the end of a text gets, where its beginning is what it shares with others."""
_BEFORE = 2
"""Characters kept before the first one by which texts differ."""


def shorten_all(texts: Sequence[str], width: int, ellipsis: str) -> list[str]:
    """Shorten texts to a width, all in the same way: the first one that keeps most of them apart.

    At the end, or in the middle of a path, unless that makes different texts equal; then ever more of their ends is
    kept. Texts that are still equal are cut to where they differ.
    """
    different = list(dict.fromkeys(texts))
    longer = [text for text in different if width_of(text) > width]
    if not longer:
        return list(texts)
    room = width - len(ellipsis)
    kept = {text: text for text in different if width_of(text) <= width}
    best = kept | {text: shorten(text, width, ellipsis) for text in longer}
    for tail in _TAILS if room > 0 else ():
        if len(set(best.values())) == len(different):
            break
        other = kept | {text: _around(text, room, round(room * tail), ellipsis) for text in longer}
        best = max(best, other, key=lambda shown: len(set(shown.values())))
    if room > 0:
        best = max(best, best | _told_apart(best, longer, room, ellipsis), key=lambda shown: len(set(shown.values())))
    return [best[text] for text in texts]


def _around(text: str, room: int, tail: int, ellipsis: str) -> str:
    """Keep so many cells of the end, and of the beginning what is left."""
    end = cut_front(text, tail) if tail else ""
    return cut(text, room - width_of(end)) + ellipsis + end


def _told_apart(shown: dict[str, str], longer: Sequence[str], room: int, ellipsis: str) -> dict[str, str]:
    """Shorten those that look alike to the part by which they differ."""
    counts = Counter(shown.values())
    alike: dict[str, list[str]] = {}
    for text in longer:
        if counts[shown[text]] > 1:
            alike.setdefault(shown[text], []).append(text)
    apart: dict[str, str] = {}
    for group in alike.values():
        start = max(_shared(group) - _BEFORE, 0)
        apart |= {text: ellipsis + _part(text, start, room) for text in group}
    return apart


def _shared(texts: Sequence[str]) -> int:
    """Count the characters with which all begin."""
    first, last = min(texts), max(texts)
    differing = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return next(differing, min(len(first), len(last)))


def _part(text: str, start: int, room: int) -> str:
    """Cut out the part from a position on, or the end of the text where that has room for more."""
    return cut(text[start:], room) if width_of(text[start:]) >= room else cut_front(text, room)
