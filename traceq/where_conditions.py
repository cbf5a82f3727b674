"""Whether a span meets a condition as people type it; docs/where.md says what each means."""

from __future__ import annotations

import re
from typing import assert_never

from traceq.conditions import names_of
from traceq.semantics import AttributeValue, Status, operation, value_text
from traceq.traces import Span, SpanDetails, Traces
from traceq.units import parse_duration
from traceq.where import (
    DURATION,
    All,
    Any,
    Comparison,
    Exists,
    Length,
    Not,
    Number,
    Text,
    Value,
    Where,
    names_in,
    text_of,
)

_RESOURCE, _EVENT, _TAG = "resource.", "event.", "tag."
_SAME = {"span.kind": "kind", "otel.status_code": "status"}
"""Tags that say what a column has."""
_COLUMNS = frozenset(("service", "operation", "kind", "status", DURATION, "error"))
_ANY_CASE = frozenset(("kind", "status", "error"))


def needs_details(where: Where) -> bool:
    """Tell whether attributes or events have to be read for it."""
    return not all(_SAME.get(name, name) in _COLUMNS for name in names_in(where))


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
    match _SAME.get(name, name):
        case "service":
            return [span.service]
        case "operation":
            return list(dict.fromkeys((span.name, operation(span.name))))
        case "kind":
            return [span.kind.name.lower()]
        case "status":
            return [Status(span.status).name.lower()]
        case "error":
            return [span.has_error]
        case _ if name == DURATION:
            return [span.duration_ns]
        case "event":
            return [event.name for event in span.details.events()]
        case key:
            return _attributes(span.details, key)


def _attributes(details: SpanDetails, key: str) -> list[AttributeValue]:
    if key.startswith(_RESOURCE):
        places = [details.resource()]
    elif key.startswith(_EVENT):
        places = [event.attributes for event in details.events()]
    else:
        places = [details.attributes(), *(event.attributes for event in details.events())]
        places += [*(link.attributes for link in details.links()), details.resource()]
    bare = next((key.removeprefix(each) for each in (_RESOURCE, _EVENT, _TAG) if key.startswith(each)), key)
    return [
        place[name] for place in places for name in dict.fromkeys((*names_of(bare), *names_of(key))) if name in place
    ]


def _holds(found: AttributeValue, name: str, operator: str, value: Value) -> bool:
    if operator == "~":
        # `re` keeps the expressions that it has compiled.
        return re.search(text_of(value), value_text(found)) is not None
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
    return text.lower() == wanted.lower() if _SAME.get(name, name) in _ANY_CASE else text == wanted


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
        return parse_duration(found) if isinstance(value, Length) else float(found)
    except (ValueError, OverflowError):
        return None
