"""Values written for people, a column at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, assert_never

from traceq.render.terminal.canvas import Glyphs, Pen
from traceq.report import Column, Unit, Value
from traceq.units import format_count, format_duration, format_ratio, format_time

_NOTHING = "-"
_BAR_CELLS = 10
_DATE = len("2026-11-22")


def is_right(column: Column[Any], values: Sequence[Value]) -> bool:
    """Say whether a column is aligned right: numbers that are compared are."""
    if column.unit is Unit.TEXT:
        return all(value is None or _is_number(value) for value in values)
    return column.unit in {Unit.COUNT, Unit.ERRORS, Unit.DURATION, Unit.RATIO}


def cell_texts(column: Column[Any], values: Sequence[Value], pen: Pen) -> tuple[str, list[str]]:
    """Write a column's title and its cells.

    The units of durations stand below each other. Times of one day carry the date in the title.
    """
    title = pen.safe(column.title.upper())
    if column.unit is Unit.TIME:
        return _times(title, values)
    texts = [_NOTHING if value is None else _text(column.unit, value, pen) for value in values]
    if column.unit is Unit.DURATION:
        return title, aligned_durations(texts)
    return title, texts


def _text(unit: Unit, value: Value, pen: Pen) -> str:
    if unit is Unit.BAR:
        return bar(value, pen.glyphs) if isinstance(value, (int, float)) else ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return pen.safe(_number_format(unit)(value))
    return _words(value, pen)


def _number_format(unit: Unit) -> Callable[[float], str]:
    match unit:
        case Unit.COUNT:
            return lambda number: format_count(int(number))
        case Unit.ERRORS:
            return lambda number: f"!{format_count(int(number))}" if number else _NOTHING
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
    texts = [format_time(value) if isinstance(value, int) else _NOTHING for value in values]
    days = {text[:_DATE] for text in texts if text != _NOTHING}
    if len(days) != 1 or any(text.startswith("epoch") for text in texts):
        return title, texts
    return f"{title} {days.pop()}", [text[_DATE + 1 :] or text for text in texts]


def bar(ratio: float, glyphs: Glyphs, cells: int = _BAR_CELLS) -> str:
    """Draw 0..1 as a bar; what is above zero is never invisible."""
    steps = len(glyphs.eighths)
    filled = round(min(max(ratio, 0.0), 1.0) * cells * steps)
    if ratio > 0:
        filled = max(filled, 1)
    whole, rest = divmod(filled, steps)
    return glyphs.eighths[-1] * whole + (glyphs.eighths[rest - 1] if rest else "")


def aligned_durations(texts: Sequence[str]) -> list[str]:
    """Fill durations up so that, aligned right, their units begin in one column."""
    units = [text.rpartition(" ")[2] if text != _NOTHING else "" for text in texts]
    widest = max(map(len, units), default=0)
    return [text + " " * (widest - len(unit)) if unit else text for text, unit in zip(texts, units, strict=True)]
