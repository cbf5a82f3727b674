"""Reads OTLP's attribute values: objects in which a single key tells the type."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import msgspec

from traceq import semantics
from traceq.codec.wire import BROKEN, failure, is_empty
from traceq.semantics import AttributeValue


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
    try:  # not `failures_told`, as in `decode`; nested values can be too deep for us though not for the decoder
        return _read_attributes(ATTRIBUTES.decode(attributes))
    except BROKEN as error:
        raise failure("cannot read attributes", error) from error


def _read_attributes(attributes: Iterable[Attribute] | None) -> dict[str, AttributeValue]:
    return {attribute.key: read_value(attribute.value) for attribute in attributes or ()}


def read_text(value: _AnyValue | None) -> str:
    """Read a value as text."""
    if value is not None and value.string_value is not None:
        return value.string_value
    return semantics.value_text(read_value(value))


def read_value(value: _AnyValue | None) -> AttributeValue:
    """Read a value in the type that it tells."""
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value  # nearly all values; the match takes four times as long
    match value:
        case _AnyValue(bytes_value=str(text)):
            return _bytes(text)
        case _AnyValue(array_value=_Values(values=values)):
            return [read_value(each) for each in values or ()]
        case _AnyValue(kvlist_value=_KeyValues(values=pairs)):
            return _read_attributes(pairs)
        case _:
            plain = (value.bool_value, value.int_value, value.double_value)
            return next((each for each in plain if each is not None), None)


def _bytes(text: str) -> bytes | str:
    """Decode base64; anything else stays text."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return text
