"""What a condition on a span means, as `--tag` and as `--where` have it: the same for every server, file and archive.

Servers and formats write one fact in several ways: a failed span is `error=true`, `otel.status_code=ERROR` or a field;
an event's name is a field or a value; OpenTelemetry renamed attributes. A condition meets the fact, however it is
written. docs/servers.md has the table, and docs/where.md says what is typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import assert_never

from traceq.semantics import (
    CONSUMER_GROUP,
    DATABASE_NAME,
    DATABASE_SYSTEM,
    HTTP_METHOD,
    HTTP_STATUS,
    STATEMENT,
    WHOLE_URL,
    Attributes,
    AttributeValue,
    Kind,
    Status,
    operation,
    value_text,
)
from traceq.traces import Event, Span, SpanDetails, Traces
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
    Some,
    Text,
    Value,
    Where,
    finds,
    names_in,
    text_of,
)

Condition = tuple[str, str]
"""A key and the text of its value."""

_RENAMED = (
    HTTP_STATUS,
    HTTP_METHOD,
    WHOLE_URL,
    DATABASE_SYSTEM,
    DATABASE_NAME,
    STATEMENT,
    CONSUMER_GROUP,
    ("http.scheme", "url.scheme"),
    ("http.user_agent", "user_agent.original"),
    ("db.operation", "db.operation.name"),
    ("messaging.destination", "messaging.destination.name"),
    ("messaging.source", "messaging.source.name"),
    ("messaging.operation", "messaging.operation.type"),
    ("messaging.message_id", "messaging.message.id"),
    ("deployment.environment", "deployment.environment.name"),
    ("otel.library.name", "otel.scope.name"),
    ("otel.library.version", "otel.scope.version"),
)
"""Names that one attribute has had. Where the new name means less or more (`http.target`), they are none."""
_OTHER_NAMES = {name: names for names in _RENAMED for name in names}
_NOT_INDEXED = frozenset(("event", "otel.status_code", "otel.status_description"))
_NOT_INDEXED |= frozenset(("otel.library.name", "otel.scope.name", "otel.library.version", "otel.scope.version"))
"""What Jaeger makes up in answers, so that a storage may not know it by this key."""


def names_of(key: str) -> tuple[str, ...]:
    """Give all names of an attribute, the given one first."""
    return (key, *(name for name in _OTHER_NAMES.get(key, ()) if name != key))


def sent_as(wanted: Iterable[Condition]) -> tuple[tuple[Condition, ...], ...]:
    """Give the questions whose answers together hold what meets all conditions, as far as a server can look for them.

    What is written nowhere is not asked for: that a span did not fail, that its status or kind is unset.
    """
    return tuple(product(*(ways for key, value in wanted if (ways := _ways(key, value)))))


def is_sent(condition: Condition) -> bool:
    """Tell whether a server can be asked for it."""
    return bool(_ways(*condition))


def may_be_unknown(condition: Condition) -> bool:
    """Tell whether a server that finds nothing may not be able to look for it."""
    return condition[0] in _NOT_INDEXED and ("error", "true") not in _ways(*condition)


def _ways(key: str, value: str) -> tuple[Condition, ...]:
    if key == "error" and value.lower() in ("true", "false"):
        return ((key, "true"),) if value.lower() == "true" else ()
    if key == "otel.status_code" and value.upper() == Status.ERROR.name:
        return ("error", "true"), (key, Status.ERROR.name)
    if key == "otel.status_code" and value.upper() == Status.UNSET.name:
        return ()
    if key == "span.kind" and value.upper() in Kind.__members__:
        return () if value.upper() == Kind.UNSPECIFIED.name else ((key, value.lower()),)
    if key.startswith(RESOURCE):
        return (key, value), (key.removeprefix(RESOURCE), value)
    return tuple((name, value) for name in names_of(key))


def carries(traces: Traces, row: int, wanted: Iterable[Condition]) -> bool:
    """Tell whether a span meets all conditions.

    Raises:
        ValueError: If the traces were read without attributes.
    """
    details = traces.span(row).details
    return all(_meets(traces, row, details, key, value) for key, value in wanted)


def _meets(traces: Traces, row: int, details: SpanDetails, key: str, value: str) -> bool:
    status = Status(traces.statuses[row])
    if key == "error" and value.lower() in ("true", "false"):
        return (status == Status.ERROR) == (value.lower() == "true")
    if key == "otel.status_code" and value.upper() in Status.__members__:
        return status.name == value.upper()
    if key == "span.kind" and Kind(traces.kinds[row]).name == value.upper():
        return True
    if key == "event" and any(event.name == value for event in details.events()):
        return True  # Jaeger v1 keeps an event's name as a field called `event`
    return any(
        any(_has(attributes, name, value) for attributes in _levels(details))
        or _has(details.resource(), name.removeprefix(RESOURCE), value)
        for name in names_of(key)
    )


def carries_like(traces: Traces, row: int, key: str, pattern: str) -> bool:
    """Tell whether a regular expression of Python finds something in a value that the span carries under a key.

    Raises:
        ValueError: If the traces were read without attributes.
    """
    span = traces.span(row)
    details = span.details
    texts = [value_text(attributes[key]) for attributes in _levels(details) if key in attributes]
    in_resource = key.removeprefix(RESOURCE)
    if in_resource in details.resource():
        texts.append(value_text(details.resource()[in_resource]))
    if key == "error":
        texts.append("true" if span.has_error else "false")
    if key == "span.kind":
        texts.append(span.kind.name.lower())
    if key == "event":
        texts += [event.name for event in details.events()]
    return any(finds(pattern, text) for text in texts)


def _levels(details: SpanDetails) -> Iterable[Attributes]:
    yield details.attributes()
    yield from (event.attributes for event in details.events())
    yield from (link.attributes for link in details.links())


def _has(attributes: Attributes, key: str, value: str) -> bool:
    if key not in attributes:
        return False
    found = attributes[key]
    # Jaeger's memory storage compares floats by ten significant digits (model/keyvalue.go at 1.51).
    return value_text(found) == value or (isinstance(found, float) and f"{found:.10g}" == value)


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
    return _met(traces.span(row), where)


def _met(carrier: Span | Event, where: Where) -> bool:
    match where:
        case Comparison(name, operator, value):
            found = _values(carrier, name)
            if operator in ("!=", "!~"):
                # What a span does not carry is not different: `not name = value` finds such spans, too.
                opposite = operator.removeprefix("!")
                return bool(found) and not any(_holds(each, name, opposite, value) for each in found)
            return any(_holds(each, name, operator, value) for each in found)
        case Member(name, values, is_negated):
            found = _values(carrier, name)
            is_one = any(_equals(each, name, value) for each in found for value in values)
            return bool(found) and not is_one if is_negated else is_one
        case Exists(name):
            return bool(_values(carrier, name))
        case Not(part):
            return not _met(carrier, part)
        case Some(part):
            return isinstance(carrier, Span) and any(_met(event, part) for event in carrier.details.events())
        case All(parts):
            return all(_met(carrier, part) for part in parts)
        case Any(parts):
            return any(_met(carrier, part) for part in parts)
        case _:
            assert_never(where)


def _values(carrier: Span | Event, name: str) -> list[AttributeValue]:
    """Give everything that a span, or one of its events, carries under a name."""
    if isinstance(carrier, Event):
        key = name.removeprefix(EVENT)
        written = [carrier.attributes[other] for other in names_of(key) if other in carrier.attributes]
        return [carrier.name, *written] if key == "name" else written
    span, name = carrier, EITHER_NAME.get(name, name)
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
    return [attributes[name] for attributes in _levels_in(details, place) for name in names if name in attributes]


def _levels_in(details: SpanDetails, place: str) -> Iterable[Attributes]:
    """Give the attributes of a place, or of all places."""
    if place == SPAN:
        return (details.attributes(),)
    if place == EVENT:
        return (event.attributes for event in details.events())
    if place == LINK:
        return (link.attributes for link in details.links())
    return (details.resource(),) if place == RESOURCE else (*_levels(details), details.resource())


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
