"""What a condition on a tag means: the same for every server, file and archive.

Servers and formats write one fact in several ways: a failed span is `error=true`, `otel.status_code=ERROR` or a field;
an event's name is a field or a value; OpenTelemetry renamed attributes. A condition meets the fact, however it is
written. docs/servers.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from traceq.semantics import (
    CONSUMER_GROUP,
    DATABASE_NAME,
    DATABASE_SYSTEM,
    HTTP_METHOD,
    HTTP_STATUS,
    STATEMENT,
    WHOLE_URL,
    Attributes,
    Kind,
    Status,
    value_text,
)
from traceq.traces import SpanDetails, Traces
from traceq.where import finds

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
    if key.startswith(_RESOURCE):
        return (key, value), (key.removeprefix(_RESOURCE), value)
    return tuple((name, value) for name in names_of(key))


_RESOURCE = "resource."
"""In front of a key: an attribute of the resource."""


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
        or _has(details.resource(), name.removeprefix(_RESOURCE), value)
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
    in_resource = key.removeprefix(_RESOURCE)
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
