"""Attributes, events and links as JSON text and back, without loss: what Parquet keeps of a span besides its columns.

Values are ordinary JSON. Values that JSON lacks become an object with a single key that begins with `$`: bytes are
`{"$bytes": "<base64>"}`, numbers that are not finite `{"$float": "nan"}`. An attribute that is itself such an object
is wrapped: `{"$map": {...}}`.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from traceq.codec.json_writers import is_too_deep
from traceq.semantics import Attributes, AttributeValue, value_text
from traceq.traces import Event, Link

_Json: TypeAlias = "str | bool | int | float | list[_Json] | dict[str, _Json] | None"

_PLAIN = frozenset((str, bool, int, type(None)))


class _Event(msgspec.Struct, gc=False):
    time_ns: int
    name: str
    attributes: dict[str, Any]


class _Link(msgspec.Struct, gc=False):
    trace_id: str
    span_id: str
    attributes: dict[str, Any]


_ATTRIBUTES = msgspec.json.Decoder(dict[str, Any])
_EVENTS = msgspec.json.Decoder(list[_Event])
_LINKS = msgspec.json.Decoder(list[_Link])


def write_attributes(attributes: Attributes) -> str | None:
    """Write attributes; None if there are none."""
    return _text(_map_out(attributes)) if attributes else None


def read_attributes(text: str | None) -> dict[str, AttributeValue]:
    """Read what `write_attributes` wrote."""
    return _map_in(_ATTRIBUTES.decode(text)) if text else {}


def write_events(events: Sequence[Event]) -> str | None:
    """Write events, in order; None if there are none."""
    return _text([_Event(event.time_ns, event.name, _map_out(event.attributes)) for event in events] or None)


def read_events(text: str | None) -> tuple[Event, ...]:
    """Read what `write_events` wrote."""
    found = _EVENTS.decode(text) if text else []
    return tuple(Event(event.time_ns, event.name, _map_in(event.attributes)) for event in found)


def write_links(links: Sequence[Link]) -> str | None:
    """Write links, in order; None if there are none."""
    return _text([_Link(link.trace_id, link.span_id, _map_out(link.attributes)) for link in links] or None)


def read_links(text: str | None) -> tuple[Link, ...]:
    """Read what `write_links` wrote."""
    found = _LINKS.decode(text) if text else []
    return tuple(Link(link.trace_id, link.span_id, _map_in(link.attributes)) for link in found)


def _text(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _map_out(attributes: Attributes) -> dict[str, _Json]:
    return {key: value if type(value) in _PLAIN else _shallow(value) for key, value in attributes.items()}  # type: ignore[misc]


def _shallow(value: AttributeValue) -> _Json:
    return value_text(value) if is_too_deep(value) else _out(value)


def _out(value: AttributeValue) -> _Json:
    match value:
        case bytes():
            return {"$bytes": base64.b64encode(value).decode("ascii")}
        case float() if not math.isfinite(value):
            return {"$float": repr(value)}
        case list():
            return [_out(each) for each in value]
        case dict():
            written: dict[str, _Json] = {key: _out(each) for key, each in value.items()}
            return {"$map": written} if _is_marked(value) else written
        case _:
            return value


def _is_marked(value: dict[str, AttributeValue] | dict[str, _Json]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith("$")


def _map_in(attributes: dict[str, _Json]) -> dict[str, AttributeValue]:
    return {key: value if type(value) in _PLAIN else _in(value) for key, value in attributes.items()}  # type: ignore[misc]


def _in(value: _Json) -> AttributeValue:
    if isinstance(value, list):
        return [_in(each) for each in value]
    if not isinstance(value, dict):
        return value
    if not _is_marked(value):
        return {key: _in(each) for key, each in value.items()}
    ((mark, marked),) = value.items()
    if mark == "$bytes" and isinstance(marked, str):
        return base64.b64decode(marked)
    if mark == "$float" and isinstance(marked, str):
        return float(marked)
    return {key: _in(each) for key, each in marked.items()} if isinstance(marked, dict) else None
