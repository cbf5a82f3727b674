"""Reads OTLP's attribute values: objects in which a single key tells the type."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from traceq import semantics
from traceq.codec.wire import BROKEN, failure, is_empty
from traceq.semantics import AttributeValue


class _Values(msgspec.Struct, gc=False):
    values: list[_AnyValue] | None = None


class _KeyValues(msgspec.Struct, gc=False):
    values: list[_Attribute] | None = None


class _AnyValue(msgspec.Struct, gc=False, rename="camel"):
    """A value: at most one of these is set; if none is, the value is empty."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    bytes_value: str | None = None
    array_value: _Values | None = None
    kvlist_value: _KeyValues | None = None


class _Attribute(msgspec.Struct, gc=False):
    key: str
    value: _AnyValue | None = None


_VALUE = msgspec.json.Decoder(_AnyValue | None, strict=False)
_ATTRIBUTES = msgspec.json.Decoder(list[_Attribute] | None, strict=False)


def read_attributes(attributes: msgspec.Raw | bytes) -> dict[str, AttributeValue]:
    """Read a list of attributes; if a key occurs twice, the last one counts."""
    if is_empty(attributes):
        return {}
    try:  # not `failures_told`, as in `decode`; nested values can be too deep for us though not for the decoder
        return _read_attributes(_ATTRIBUTES.decode(attributes))
    except BROKEN as error:
        raise failure("cannot read attributes", error) from error


def _read_attributes(attributes: Iterable[_Attribute] | None) -> dict[str, AttributeValue]:
    return {attribute.key: _value(attribute.value) for attribute in attributes or ()}


# The same few values occur in span after span.
@lru_cache(maxsize=4096)
def read_text(value: bytes) -> str:
    """Read a value as text."""
    return semantics.value_text(read_value(value))


def read_value(value: bytes | msgspec.Raw) -> AttributeValue:
    """Read a value that is one of very many."""
    return _value(_VALUE.decode(value))


def _value(value: _AnyValue | None) -> AttributeValue:
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value  # nearly all values; the match takes four times as long
    match value:
        case _AnyValue(bytes_value=str(text)):
            return _bytes(text)
        case _AnyValue(array_value=_Values(values=values)):
            return [_value(each) for each in values or ()]
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
