"""Whether a span meets a condition as people type it; docs/where.md says what each means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import assert_never

from traceq.conditions import names_of
from traceq.semantics import Attributes, AttributeValue, operation, value_text
from traceq.traces import Span, SpanDetails, Traces
from traceq.units import parse_duration
from traceq.where import (
    DURATION,
    EITHER_NAME,
    EVENT,
    LINK,
    PLACES,
    RESOURCE,
    SPAN,
    WORDS,
    All,
    Any,
    Comparison,
    Exists,
    Length,
    Member,
    Not,
    Number,
    Text,
    Value,
    Where,
    finds,
    names_in,
    text_of,
)

_COLUMNS: Mapping[str, Callable[[Span], AttributeValue]] = {
    "service": lambda span: span.service,
    "kind": lambda span: span.kind.name.lower(),
    "status": lambda span: span.status.name.lower(),
    "error": lambda span: span.has_error,
    DURATION: lambda span: span.duration_ns,
    "traceID": lambda span: span.trace_id,
    "spanID": lambda span: span.span_id,
    "parentSpanID": lambda span: span.parent_id,
}
_ID_DIGITS = {"traceID": 32, "spanID": 16, "parentSpanID": 16}
_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
"""Text that reads as a number; Python takes more for one, such as `1_000` and `inf`."""


def needs_details(where: Where) -> bool:
    """Tell whether attributes or events have to be read for it."""
    return not all(EITHER_NAME.get(name, name) in {*_COLUMNS, "operation"} for name in names_in(where))


def meets(traces: Traces, row: int, where: Where) -> bool:
    """Tell whether a span meets a condition.

    Raises:
        ValueError: If it is about attributes, and the traces were read without.
    """
    match where:
        case Comparison(name, operator, value):
            found = _values(traces.span(row), name)
            if operator in ("!=", "!~"):
                # What a span does not carry is not different: `not name = value` finds such spans, too.
                opposite = operator.removeprefix("!")
                return bool(found) and not any(_holds(each, name, opposite, value) for each in found)
            return any(_holds(each, name, operator, value) for each in found)
        case Member(name, values, is_negated):
            found = _values(traces.span(row), name)
            is_one = any(_equals(each, name, value) for each in found for value in values)
            return bool(found) and not is_one if is_negated else is_one
        case Exists(name):
            return bool(_values(traces.span(row), name))
        case Not(part):
            return not meets(traces, row, part)
        case All(parts):
            return all(meets(traces, row, part) for part in parts)
        case Any(parts):
            return any(meets(traces, row, part) for part in parts)
        case _:
            assert_never(where)


def _values(span: Span, name: str) -> list[AttributeValue]:
    """Give everything that a span carries under a name."""
    name = EITHER_NAME.get(name, name)
    if name in _COLUMNS:
        value = _COLUMNS[name](span)
        return [] if value is None else [value]
    match name:
        case "operation":
            return list(dict.fromkeys((span.name, operation(span.name))))
        case "statusMessage":
            return _attributes(span.details, SPAN + "otel.status_description")
        case "event":
            return [event.name for event in span.details.events()]
        case "event.name":
            return [*_values(span, "event"), *_attributes(span.details, name)]
        case key:
            return _attributes(span.details, key)


def _attributes(details: SpanDetails, key: str) -> list[AttributeValue]:
    place = next((each for each in PLACES if key.startswith(each)), "")
    names = dict.fromkeys((*names_of(key.removeprefix(place)), *names_of(key)))
    return [attributes[name] for attributes in _levels(details, place) for name in names if name in attributes]


def _levels(details: SpanDetails, place: str) -> Iterable[Attributes]:
    """Give the attributes of a place, or of all places."""
    is_anywhere = place not in (SPAN, EVENT, LINK, RESOURCE)
    if is_anywhere or place == SPAN:
        yield details.attributes()
    if is_anywhere or place == EVENT:
        yield from (event.attributes for event in details.events())
    if is_anywhere or place == LINK:
        yield from (link.attributes for link in details.links())
    if is_anywhere or place == RESOURCE:
        yield details.resource()


def _holds(found: AttributeValue, name: str, operator: str, value: Value) -> bool:
    if operator == "~":
        return finds(text_of(value), value_text(found))
    if operator == "=":
        return _equals(found, name, value)
    number, bound = _number(found, value), _bound(value)
    if number is None:
        return False
    match operator:
        case ">":
            return number > bound
        case ">=":
            return number >= bound
        case "<":
            return number < bound
        case _:
            return number <= bound


def _equals(found: AttributeValue, name: str, value: Value) -> bool:
    """Tell whether numbers are the same number, and texts the same text."""
    is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
    if is_number and not isinstance(value, Text):
        return found == _bound(value)
    text, wanted = value_text(found), text_of(value)
    name = EITHER_NAME.get(name, name)
    if name in _ID_DIGITS:
        return text.zfill(_ID_DIGITS[name]) == wanted.lower().zfill(_ID_DIGITS[name])
    return text.lower() == wanted.lower() if name in WORDS else text == wanted


def _bound(value: Value) -> float | int:
    match value:
        case Number():
            return value.number
        case Length():
            return value.duration_ns
        case Text():
            raise ValueError("text has no order")


def _number(found: AttributeValue, value: Value) -> float | int | None:
    """Give a value as a number, or, where it is compared with a duration, in ns; None if it is none."""
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return found
    if not isinstance(found, str):
        return None
    try:
        if isinstance(value, Length):
            return parse_duration(found)
        # As an integer where it is one: beyond 2^53 floats are not told apart.
        return int(found) if _INTEGER.fullmatch(found) else float(found) if _NUMBER.fullmatch(found) else None
    except (ValueError, OverflowError):
        return None
