"""The fields of OTLP JSON, and what they mean, in protobuf as well: values, kinds, statuses, what Jaeger adds.

A value is an object in which a single key tells the type.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

import msgspec

from traceq import semantics
from traceq.assembly import UNKNOWN_SERVICE
from traceq.codec.damage import Remark
from traceq.codec.wire import BROKEN, Nanoseconds, decode, is_empty
from traceq.semantics import Attributes, AttributeValue, Kind, Meaning, Status, meaning
from traceq.untrusted import quoted


class _Values(msgspec.Struct, gc=False):
    values: list[_AnyValue] | None = None


class _KeyValues(msgspec.Struct, gc=False):
    values: list[Attribute] | None = None


class _AnyValue(msgspec.Struct, gc=False, rename="camel"):
    """A value: at most one of these is set; if none is, the value is empty."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    bytes_value: str | None = None
    array_value: _Values | None = None
    kvlist_value: _KeyValues | None = None


class Attribute(msgspec.Struct, gc=False):
    """A key with its value."""

    key: str
    value: _AnyValue | None = None


ATTRIBUTES = msgspec.json.Decoder(list[Attribute] | None, strict=False)
NOTHING = msgspec.Raw(b"null")


class Resource(msgspec.Struct, gc=False):
    """What sent spans."""

    attributes: msgspec.Raw = NOTHING


class Scope(msgspec.Struct, gc=False):
    """What in a program made spans: a library, with its version."""

    name: str | None = None
    version: str | None = None
    attributes: msgspec.Raw = NOTHING


_Span = TypeVar("_Span")


class ScopeSpans(msgspec.Struct, Generic[_Span], gc=False, rename="camel"):
    """The spans of a scope, decoded as far as they are wanted."""

    scope: Scope | None = None
    instrumentation_library: Scope | None = None
    spans: list[_Span] | None = None


class ResourceSpans(msgspec.Struct, Generic[_Span], gc=False, rename="camel"):
    """What documents of OTLP and Tempo consist of: spans by scope, scopes by resource."""

    resource: Resource | None = None
    scope_spans: list[ScopeSpans[_Span]] | None = None
    instrumentation_library_spans: list[ScopeSpans[_Span]] | None = None
    """The name before OTLP 0.15 (2022)."""


class PlainDocument(msgspec.Struct, Generic[_Span], gc=False, rename="camel", forbid_unknown_fields=True):
    """A document that holds spans and nothing else, as collectors write it on every line of a file."""

    resource_spans: list[ResourceSpans[_Span]]


class SpanStatus(msgspec.Struct, gc=False):
    """How a span ended."""

    code: int | str | None = None
    message: str | None = None


class SpanLink(msgspec.Struct, gc=False, rename="camel"):
    """A reference of a span to another than its parent."""

    trace_id: str | None = None
    span_id: str | None = None
    attributes: msgspec.Raw = NOTHING


class SpanEvent(msgspec.Struct, gc=False, rename="camel"):
    """Something that happened during a span."""

    time_unix_nano: Nanoseconds = None
    name: str | None = None
    attributes: msgspec.Raw = NOTHING


class WholeEvent(SpanEvent, gc=False, rename="camel"):
    """An event with nothing left to decode."""

    attributes: list[Attribute] | None = None  # type: ignore[assignment]  # decoded here


class WholeLink(SpanLink, gc=False, rename="camel"):
    """A link with nothing left to decode."""

    attributes: list[Attribute] | None = None  # type: ignore[assignment]


class TraceId(msgspec.Struct, gc=False, rename="camel"):
    """The id of a span's trace, which is read before the rest."""

    trace_id: str | None = None


class AnySpan(msgspec.Struct, gc=False, rename="camel"):
    """What is read of every span."""

    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: Nanoseconds = None
    end_time_unix_nano: Nanoseconds = None
    links: list[SpanLink] | None = None
    """After reading details: only those that do not stand in for the parent."""
    status: SpanStatus | None = None
    trace_state: str | None = None


class Span(AnySpan, gc=False, rename="camel"):
    """A span of which columns are made."""

    attributes: list[Attribute] | None = None
    # Not looked at here, but decoded: what is wrong with them is told by every command.
    events: list[WholeEvent] | None = None
    links: list[WholeLink] | None = None  # type: ignore[assignment]


class WholeSpan(Span, gc=False, rename="camel"):
    """A span with nothing left to decode."""

    trace_id: str | None = None


class DetailedSpan(AnySpan, gc=False, rename="camel"):
    """A span whose attributes and events are read when somebody asks for them."""

    attributes: msgspec.Raw = NOTHING
    events: msgspec.Raw = NOTHING


def is_whole(attributes: bytes) -> bool:
    """Whether a list of attributes is one, and all of them can be read."""
    try:
        ATTRIBUTES.decode(attributes)
    except BROKEN:
        return False
    return True


def read_attributes(attributes: msgspec.Raw | bytes) -> dict[str, AttributeValue]:
    """Read a list of attributes; if a key occurs twice, the last one counts."""
    if is_empty(attributes):
        return {}
    return values_of(decode(ATTRIBUTES, attributes, "cannot read attributes") or [])


def values_of(attributes: Sequence[Attribute]) -> dict[str, AttributeValue]:
    """Read attributes that were decoded; if a key occurs twice, the last one counts."""
    try:
        return _read_attributes(attributes)
    except RecursionError:
        return {attribute.key: _value_or_text(attribute.value) for attribute in attributes}


def _read_attributes(attributes: Iterable[Attribute] | None) -> dict[str, AttributeValue]:
    return {attribute.key: read_value(attribute.value) for attribute in attributes or ()}


def _value_or_text(value: _AnyValue | None) -> AttributeValue:
    """Read a value; one that is nested too deep for us, though not for the decoder, as it is written."""
    try:
        return read_value(value)
    except RecursionError:
        return msgspec.json.encode(value).decode()


def read_value(value: _AnyValue | None) -> AttributeValue:
    """Read a value in the type that it tells."""
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.bytes_value is not None:
        return _bytes(value.bytes_value)
    if value.array_value is not None:
        return [read_value(each) for each in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return _read_attributes(value.kvlist_value.values)
    if value.bool_value is not None:
        return value.bool_value
    return value.double_value if value.int_value is None else value.int_value


def _bytes(text: str) -> bytes | str:
    """Decode base64; anything else stays text."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return text


WARNINGS = "@jaeger@warnings"
"""The attribute in which Jaeger's v3 answers keep the server's remarks about a span."""

REFERENCE_TYPE, FOLLOWS_FROM = "opentracing.ref_type", "follows_from"
"""An attribute of links that stand for references of OpenTracing, and its value where these did not wait.

Jaeger adds such a link beside the parent where its storage knows references only: Elasticsearch, OpenSearch.
"""


class Told(NamedTuple):
    """What Jaeger's conversion to v1 turns into tags; empty where there is none."""

    scope_name: str | None
    scope_version: str | None
    status_message: str | None
    trace_state: str | None


TAGS = ("otel.scope.name", "otel.scope.version", "otel.status_description", "w3c.tracestate")
"""The attributes that these become."""


def of_scope(attributes: Attributes) -> dict[str, AttributeValue]:
    """Name the attributes of a scope as Jaeger's conversion does."""
    return {f"otel.scope.{key}": value for key, value in attributes.items()}


def completed(told: Told, scope: Attributes, attributes: Attributes) -> dict[str, AttributeValue]:
    """Add to a span's attributes whatever else Jaeger's conversion turns into tags."""
    found = of_scope(scope)
    found |= {key: value for key, value in zip(TAGS, told, strict=True) if value}
    found |= attributes
    found.pop(WARNINGS, None)
    return found


def named(service: str, resource: Attributes) -> dict[str, AttributeValue]:
    """Put the service back among the attributes of its resource, unless its source did not tell it."""
    return {**({} if service == UNKNOWN_SERVICE else {"service.name": service}), **resource}


def remarks(attributes: Attributes) -> tuple[str, ...]:
    """Read the server's remarks about a span."""
    told = attributes.get(WARNINGS)
    if told is None:
        return ()
    return tuple(semantics.value_text(each) for each in (told if isinstance(told, list) else [told]))


def meaning_of(texts: tuple[str, ...], kind: int | str | None, status: int | str | None) -> Meaning:
    """Say what a span means.

    Args:
        texts: The attributes that tell it, as `semantics.meaning` takes them.
        kind: As number or name.
        status: Likewise.
    """
    return meaning(texts, _member(Kind, kind, _KIND), _member(Status, status, _STATUS))


def takes_messages(texts: tuple[str, ...], kind: int | str | None) -> bool:
    """Tell the spans that begin with a message."""
    told = meaning_of(texts, kind, None)
    return semantics.takes_messages(told.kind, told.activity)


_Enum = TypeVar("_Enum", Kind, Status)
_KIND, _STATUS = "SPAN_KIND_", "STATUS_CODE_"
"""What names begin with in OTLP."""


def _member(names: type[_Enum], value: int | str | None, prefix: str) -> _Enum:
    """Read an enum given as number or name; what a later OTLP may add is read as 0, which stands for unknown."""
    known = _known(names, value, prefix)
    return names(0) if known is None else known


# By type, too: true equals 1, and 2.0 equals 2, but neither is a kind or status.
@lru_cache(maxsize=64, typed=True)
def _known(names: type[_Enum], value: int | str | None, prefix: str) -> _Enum | None:
    text = str(value or 0).removeprefix(prefix)
    known = names.__members__.get(text)
    return next((member for member in names if text == str(member.value)), None) if known is None else known


def unknown_codes(kind: int | str | None, status: int | str | None) -> list[Remark]:
    """Say which of these OTLP does not have; `meaning_of` reads them as unspecified."""
    unknown = (
        ("kind", kind, _known(Kind, kind, _KIND)),
        ("status.code", status, _known(Status, status, _STATUS)),
    )
    return [
        Remark("value-left-out", f"{name} is {quoted(str(value), 40)}, which OTLP does not have")
        for name, value, known in unknown
        if known is None
    ]
