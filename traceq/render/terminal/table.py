"""Tables, laid out by hand: rich's own takes two seconds for five thousand rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.segment import Segment
from rich.style import Style

from traceq.render.terminal.canvas import DIM, RED, Pen, Strip, shorten, width_of, wrapped
from traceq.render.terminal.values import cell_texts, is_right
from traceq.report import Column, Table, Unit, Value

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
    title, texts = cell_texts(column, values, pen)
    width = max(width_of(title), *map(width_of, texts))
    return _Drawn(column, title, texts, values, is_right(column, values), width)


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
