"""OTLP JSON in other shapes than the specification's: keys in snake_case, and parts of documents by themselves."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

import msgspec

from traceq.codec.fitting import Fitting
from traceq.codec.mending import decoded, encoded
from traceq.codec.otlp_fields import ResourceSpans
from traceq.codec.wire import BROKEN

_KEYS = (
    b"resource_spans|scope_spans|instrumentation_library_spans|instrumentation_library|trace_id|span_id|parent_span_id|"
    b"trace_state|start_time_unix_nano|end_time_unix_nano|time_unix_nano|string_value|bool_value|int_value|double_value|"
    b"array_value|kvlist_value|bytes_value"
)
_SNAKE_CASE = re.compile(rb'"(%b)"(?=\s*:)' % _KEYS)
"""These keys and nothing else: in strings quotes are escaped, and names of attributes are values."""
_TELLING = (
    frozenset(("resource_spans",)),
    frozenset(("scope_spans",)),
    frozenset(("trace_id", "span_id", "start_time_unix_nano")),
)


def as_document(body: memoryview, keys: Collection[str]) -> memoryview | None:
    """Give OTLP that is written in snake_case, or stands alone, as a document; None if it is something else."""
    return _in_camel_case(body, keys) or _wrapped(body, keys)


def _in_camel_case(body: memoryview, keys: Collection[str]) -> memoryview | None:
    """Give an object that is written in snake_case, as protobuf's own names are, in camelCase; None if it is not."""
    if not any(telling <= set(keys) for telling in _TELLING):
        return None
    return memoryview(_SNAKE_CASE.sub(_camel_case, body))


def _camel_case(found: re.Match[bytes]) -> bytes:
    first, *others = found[1].decode("ascii").split("_")
    return f'"{first}{"".join(map(str.capitalize, others))}"'.encode()


def _wrapped(body: memoryview, keys: Collection[str]) -> memoryview | None:
    """Put a document around what stands alone: an element of `resourceSpans`, or a span; None if it is neither."""
    if not _SCOPES.isdisjoint(keys):
        return memoryview(b'{"resourceSpans":[%b]}' % bytes(body))
    if set(keys) >= _SPAN:
        return memoryview(b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % bytes(body))
    return None


_SCOPES = frozenset(("scopeSpans", "instrumentationLibrarySpans"))
_SPAN = frozenset(("traceId", "spanId", "startTimeUnixNano"))


class Mended(NamedTuple):
    """A document whose structure was put right."""

    body: memoryview
    told: tuple[str, ...]
    """What was done, the first of it."""


_LISTS = ("resourceSpans", "batches")
_KEYS_OF = msgspec.json.Decoder(dict[str, msgspec.Raw])
_GROUPS = list[ResourceSpans[msgspec.Raw] | None]
_MOST_TOLD = 3


def mended(body: memoryview) -> Mended | None:
    """Put the lists of resources and scopes right, and leave out what cannot be; None if there are none."""
    try:
        written = _KEYS_OF.decode(body)
    except BROKEN:
        return None
    found = [key for key in _LISTS if key in written]
    if not found:
        return None
    fitting = Fitting(1, 1)
    lists = {key: decoded(msgspec.Raw(fitting.sound(bytes(written[key])))) for key in found}
    groups = {key: fitting.value(each, _GROUPS, key) or [] for key, each in lists.items()}
    told = [each.text for each in fitting.remarks]
    more = len(told) - _MOST_TOLD
    shown = (*told[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else ()))
    return Mended(memoryview(encoded({**written, **groups})), shown)
